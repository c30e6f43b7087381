/** One line of the result. */
export interface Row {
  benchmark: string;
  value: number;
  unit: string;
  /** What it was measured against, in the same run. */
  comparison?: string;
  /** Ours over that. */
  ratio?: number;
  cpuNsPerCommand?: number;
  allocatedBytesPerCommand?: number;
  /** What the project aims for. */
  target?: string;
}

export function table(rows: readonly Row[]): string {
  const lines = rows.map((row) => [
    row.benchmark,
    `${format(row.value)} ${row.unit}`,
    row.comparison ? `${row.comparison} (x${row.ratio?.toFixed(2)})` : '',
    row.cpuNsPerCommand === undefined ? '' : `${row.cpuNsPerCommand.toFixed(0)} ns`,
    row.allocatedBytesPerCommand === undefined ? '' : `${row.allocatedBytesPerCommand.toFixed(1)} B`,
    row.target ?? '',
  ]);
  const all = [['benchmark', 'median', 'against', 'CPU/command', 'allocated/command', 'target'], ...lines];
  const widths = all[0]!.map((_, column) => Math.max(...all.map((line) => line[column]!.length)));
  return all
    .map((line) =>
      line
        .map((cell, i) => cell.padEnd(widths[i]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function format(value: number): string {
  return value >= 1000 ? Math.round(value).toLocaleString('en') : value.toFixed(value >= 100 ? 0 : 1);
}
