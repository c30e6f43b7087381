import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { moduleText, natives } from './natives.ts';

describe.each(natives)('the host: $name', ({ create }) => {
  const native = create();

  it('has a clock that goes forward in microseconds', () => {
    const start = native.nowUs();
    const wall = performance.now();
    while (performance.now() - wall < 5);
    const elapsed = native.nowUs() - start;
    expect(elapsed).toBeGreaterThan(4500);
    expect(elapsed).toBeLessThan(500_000);
  });

  it('counts context switches and CPUs', () => {
    expect(native.contextSwitches()).toBeGreaterThanOrEqual(0);
    expect(native.cpuCount()).toBeGreaterThan(0);
    expect(native.yieldThread()).toBe(0);
    expect(native.pinThread(-1)).toBeLessThan(0);
    expect(native.pinThread(100_000)).toBeLessThan(0);
  });
});

it('a pinned thread has one CPU', () => {
  const body = 'const before = native.cpuCount(); native.pinThread(0); console.log(before >= 1, native.cpuCount());';
  expect(execFileSync(process.execPath, moduleText(body), { encoding: 'utf8' }).trim()).toBe('true 1');
});
