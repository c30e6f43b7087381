import { execFileSync, spawnSync } from 'node:child_process';
import path from 'node:path';
import { expect, test } from 'vitest';
import { startNvme } from '../src/process.ts';
import { measure } from '../src/programs.ts';
import { table } from '../src/table.ts';

const main = path.join(import.meta.dirname, '..', 'dist', 'main.js');

test('the drivers in C work the daemon, and count what they did', { timeout: 60_000 }, async () => {
  const daemon = await startNvme(['--drive', 'mem:512M', '--doorbells', 'mapped']);
  try {
    const trip = await measure<{ p50Ns: number; p99Ns: number }>('round-trip', [daemon.socket, 'vfio-user', 100, 0, 0]);
    expect(trip.p50Ns).toBeGreaterThan(500);
    expect(trip.p99Ns).toBeGreaterThanOrEqual(trip.p50Ns);
    for (const doorbells of ['mapped', 'trapped']) {
      const args = [daemon.socket, 2, 16384, 8, 0.1, doorbells, 0, daemon.pid];
      const result = await measure<{ commands: number; seconds: number }>('nvme-driver', args);
      expect(result.commands).toBeGreaterThan(8);
      expect(result.seconds).toBeGreaterThanOrEqual(0.1);
    }
    for (const pointers of ['sgl', 'sgl-pages']) {
      const args = [daemon.socket, 1, 12288, 8, 0.05, 'mapped', 0, daemon.pid, 4, pointers];
      const result = await measure<{ commands: number }>('nvme-driver', args);
      expect(result.commands).toBeGreaterThan(32);
    }
  } finally {
    await daemon.stop();
  }
});

test('a command that fails ends the driver with its status', async () => {
  const daemon = await startNvme(['--drive', 'null:1M', '--doorbells', 'mapped']);
  try {
    const args = [daemon.socket, 2, 4096, 1, 0.1, 'mapped', 0, daemon.pid];
    await expect(measure('nvme-driver', args)).rejects.toThrow(/failed with status/);
  } finally {
    await daemon.stop();
  }
});

test('wrong names are usage errors, --help is not', () => {
  const wrong = spawnSync(process.execPath, [main, 'speed'], { encoding: 'utf8' });
  expect(wrong.status).toBe(2);
  expect(wrong.stderr).toContain('unknown benchmark: speed');
  expect(execFileSync(process.execPath, [main, '--help'], { encoding: 'utf8' })).toContain('round-trip');
});

test('the table lines its columns up', () => {
  const lines = table([
    { benchmark: 'short', value: 1, unit: 'us' },
    { benchmark: 'a longer name', value: 123456, unit: 'commands/s', comparison: 'C 2.0', ratio: 0.5 },
  ]).split('\n');
  expect(lines[2]).toContain('123,456 commands/s  C 2.0 (x0.50)');
  expect(lines[1]!.indexOf('1.0 us')).toBe(lines[2]!.indexOf('123,456'));
});
