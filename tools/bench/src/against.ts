import { type Effort, type Load, rateRow, runLoads } from './load.ts';
import type { Row } from './table.ts';

/** A load against another that differs from it in one thing. */
interface Pair {
  readonly name: string;
  readonly load: Load;
  readonly against: Load;
  readonly otherName: string;
}

const small = { drive: 'null', operation: 'reads', sizeBytes: 4096, depth: 32 } as const;
const large = { drive: 'memory', operation: 'reads', sizeBytes: 128 * 1024, depth: 8 } as const;

/** (e) SGLs against PRP entries for the same blocks: one data block as Linux makes it, and a data block for each page. */
export function sglRates(effort: Effort): Promise<Row[]> {
  return compare(effort, [
    { name: 'NVMe 4 KiB reads, null, QD32, by SGL', load: { ...small, pointers: 'sgl' }, ...byPrp(small) },
    { name: 'NVMe 128 KiB reads, memory, QD8, by SGL', load: { ...large, pointers: 'sgl' }, ...byPrp(large) },
    {
      name: 'NVMe 128 KiB reads, memory, QD8, by SGL of 32 pages',
      load: { ...large, pointers: 'sgl-pages' },
      ...byPrp(large),
    },
  ]);
}

/** (f) Four queues against one with as many commands under way. */
export function queueRates(effort: Effort): Promise<Row[]> {
  return compare(
    effort,
    (['null', 'file'] as const).map((drive) => ({
      name: `NVMe 4 KiB reads, ${drive}, 4 queues of QD32`,
      load: { ...small, drive, depth: 32, queues: 4 },
      against: { ...small, drive, depth: 128 },
      otherName: '1 queue of QD128',
    })),
  );
}

function byPrp(load: Load): { against: Load; otherName: string } {
  return { against: load, otherName: 'PRP' };
}

async function compare(effort: Effort, pairs: readonly Pair[]): Promise<Row[]> {
  const rows: Row[] = [];
  for (const { name, load, against, otherName } of pairs) {
    const [ours, other] = await runLoads([load, against], effort);
    const comparison = `${otherName} ${Math.round(other!.perSecond).toLocaleString('en')}`;
    rows.push({ ...rateRow(name, ours!), comparison, ratio: ours!.perSecond / other!.perSecond });
  }
  return rows;
}
