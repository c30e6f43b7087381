/** What passed of the tests of devices on each transport: lines of a table. */
import type { Counts, Tally } from './tally.ts';

const columnWidth = 24;

/** Files are those of `rows`: tallies of projects that have no others. `-`: a file is not a part of that transport. `?`: nobody knows. */
export function transportTable(tallies: { readonly [transport: string]: Tally }, rows: readonly Tally[]): string[] {
  const columns = Object.values(tallies);
  const names = [...new Set(rows.flatMap(({ files }) => [...files.keys()]))].sort();
  const nameWidth = Math.max(42, ...names.map((name) => name.length)) + 1;
  const line = (name: string, cells: readonly string[]) =>
    name.padEnd(nameWidth) + cells.map((text) => text.padStart(columnWidth)).join('');
  const none = ({ lost }: Tally) => (lost ? '?' : '-');
  const totals = columns.map((tally) => {
    const counts = names.flatMap((name) => tally.files.get(name) ?? []);
    return counts.length === 0 ? none(tally) : cell(sumOf(counts));
  });
  return [
    line('Tests of devices that passed, by transport', Object.keys(tallies)),
    ...names.map((name) =>
      line(
        name,
        columns.map((tally) => {
          const counts = tally.files.get(name);
          return counts === undefined ? none(tally) : cell(counts);
        }),
      ),
    ),
    line('', totals),
  ];
}

function cell({ passed, failed, skipped }: Counts): string {
  return [
    `${passed}`,
    ...(failed > 0 ? [`${failed} failed`] : []),
    ...(skipped > 0 ? [`${skipped} skipped`] : []),
  ].join(', ');
}

function sumOf(counts: readonly Counts[]): Counts {
  const sum = (of: keyof Counts) => counts.reduce((total, one) => total + one[of], 0);
  return { passed: sum('passed'), failed: sum('failed'), skipped: sum('skipped') };
}
