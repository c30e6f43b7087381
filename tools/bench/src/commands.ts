import { type Effort, type Load, rateRow, runLoads, sizeName } from './load.ts';
import type { Row } from './table.ts';

const drives = ['null', 'memory', 'file'] as const;

/** Those of the foundation. */
const reads: readonly Load[] = drives.flatMap((drive) =>
  [1, 32, 128].map((depth): Load => ({ drive, operation: 'reads', sizeBytes: 4096, depth })),
);

/** Writes, and transfers with a list of pages. */
const others: readonly Load[] = [
  ...drives.map((drive): Load => ({ drive, operation: 'writes', sizeBytes: 4096, depth: 32 })),
  ...drives.map((drive): Load => ({ drive, operation: 'reads', sizeBytes: 128 * 1024, depth: 8 })),
];

/** Commands per second that are asked for. */
const targets: Record<string, string> = {
  'NVMe 4 KiB reads, null, QD128': 'at least 3,000,000',
  'NVMe 4 KiB reads, memory, QD32': 'at least 1,300,000',
  'NVMe 4 KiB reads, memory, QD1': 'at least 500,000',
};

/** (b) Commands through shared memory with a driver in another process. */
export async function commandRates(effort: Effort, effortForOthers: Effort): Promise<Row[]> {
  const rows: Row[] = [];
  for (const load of [...reads, ...others]) {
    const [result] = await runLoads([load], reads.includes(load) ? effort : effortForOthers);
    const row = rateRow(nameOf(load), result!);
    const target = targets[row.benchmark];
    if (target) row.target = target;
    rows.push(row);
  }
  return rows;
}

function nameOf({ drive, operation, sizeBytes, depth }: Load): string {
  return `NVMe ${sizeName(sizeBytes)} ${operation}, ${drive}, QD${depth}`;
}
