import { expect, test } from 'vitest';
import { metricsText } from '../../src/control/metrics.ts';

test('counters and gauges in the text format of Prometheus', () => {
  const text = metricsText([
    { name: 'sidecard_lamps', type: 'gauge', help: 'Lamps.', read: () => 2 },
    {
      name: 'sidecard_blinks_total',
      type: 'counter',
      help: 'One line\nand a \\.',
      read: () => [
        { labels: { lamp: 'red', room: '1' }, value: 0.5 },
        { labels: { lamp: 'a "quoted"\\one\n', room: '2' }, value: 1e21 },
      ],
    },
    {
      name: 'sidecard_odd',
      type: 'gauge',
      help: '',
      read: () => [Number.NaN, Infinity, -Infinity].map((value) => ({ labels: {}, value })),
    },
  ]);
  expect(text).toBe(
    [
      '# HELP sidecard_lamps Lamps.',
      '# TYPE sidecard_lamps gauge',
      'sidecard_lamps 2',
      '# HELP sidecard_blinks_total One line\\nand a \\\\.',
      '# TYPE sidecard_blinks_total counter',
      'sidecard_blinks_total{lamp="red",room="1"} 0.5',
      'sidecard_blinks_total{lamp="a \\"quoted\\"\\\\one\\n",room="2"} 1e+21',
      '# HELP sidecard_odd ',
      '# TYPE sidecard_odd gauge',
      'sidecard_odd NaN',
      'sidecard_odd +Inf',
      'sidecard_odd -Inf',
      '',
    ].join('\n'),
  );
});

test('is asked for when it is read, and not before', () => {
  let reads = 0;
  const metric = { name: 'x_total', type: 'counter', help: '', read: () => ++reads } as const;
  expect(reads).toBe(0);
  expect(metricsText([metric])).toContain('x_total 1\n');
});
