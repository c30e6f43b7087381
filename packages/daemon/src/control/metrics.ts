import type { Metric, Sample } from './route.ts';

export const metricsType = 'text/plain; version=0.0.4; charset=utf-8';

/** The text format of Prometheus (Exposition formats, version 0.0.4). */
export function metricsText(metrics: readonly Metric[]): string {
  return metrics.map(metricText).join('');
}

function metricText({ name, type, help, read }: Metric): string {
  const value = read();
  const samples: readonly Sample[] = typeof value === 'number' ? [{ labels: {}, value }] : value;
  const lines = samples.map((sample) => `${name}${labelText(sample.labels)} ${numberText(sample.value)}\n`);
  return `# HELP ${name} ${escaped(help)}\n# TYPE ${name} ${type}\n${lines.join('')}`;
}

function labelText(labels: Sample['labels']): string {
  const texts = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value).replaceAll('"', '\\"')}"`);
  return texts.length === 0 ? '' : `{${texts.join(',')}}`;
}

function numberText(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf';
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}
