import { randomFillSync } from 'node:crypto';
import { open } from 'node:fs/promises';
import path from 'node:path';
import { median, startNvme } from './process.ts';
import { measure, workFolder } from './programs.ts';
import type { Row } from './table.ts';

interface DriverResult {
  commands: number;
  seconds: number;
  cpuSeconds: number;
}

/** Commands per second that the issue asks for, by drive and queue depth. */
const targets: Record<string, string> = {
  'null 128': 'at least 3,000,000',
  'memory 32': 'at least 1,300,000',
  'memory 1': 'at least 500,000',
};

const mib = 1024 * 1024;
/** Young generation, MiB: each collection of it means that so much was allocated. */
const youngMib = 16;

/** (b) 4 KiB reads through shared memory with a driver in another process; device and driver have a core each. */
export async function commandRates(seconds: number, runs: number): Promise<Row[]> {
  const drives = { null: 'null:1G', memory: 'mem:512M', file: await imageFile() };
  const rows: Row[] = [];
  for (const [name, drive] of Object.entries(drives))
    for (const depth of [1, 32, 128]) {
      const results: (DriverResult & { allocated: number })[] = [];
      for (let i = 0; i < runs; i++) results.push(await rate(drive, depth, seconds));
      const perSecond = median(results.map((r) => r.commands / r.seconds));
      const row: Row = {
        benchmark: `NVMe 4 KiB reads, ${name}, QD${depth}`,
        value: Math.round(perSecond),
        unit: 'commands/s',
        cpuNsPerCommand: median(results.map((r) => (r.cpuSeconds / r.commands) * 1e9)),
        allocatedBytesPerCommand: median(results.map((r) => r.allocated)),
      };
      const target = targets[`${name} ${depth}`];
      if (target) row.target = target;
      rows.push(row);
    }
  return rows;
}

async function rate(drive: string, depth: number, seconds: number): Promise<DriverResult & { allocated: number }> {
  // Garbage collections are the proof of what was allocated: V8 logs each.
  const nodeFlags = ['--trace-gc', `--min-semi-space-size=${youngMib}`, `--max-semi-space-size=${youngMib}`];
  const daemon = await startNvme(['--drive', drive, '--doorbells', 'mapped', '--poll', 'dedicated'], {
    cpus: '1',
    nodeFlags,
  });
  try {
    const args = [daemon.socket, 2, 4096, depth, seconds, 'mapped', 0, daemon.pid];
    const collected = scavenges(daemon.output);
    const result = await measure<DriverResult>('nvme-driver', args);
    const during = scavenges(daemon.output) - collected;
    return { ...result, allocated: (during * youngMib * mib) / result.commands };
  } finally {
    await daemon.stop();
  }
}

function scavenges(log: string): number {
  return log.split('Scavenge').length - 1;
}

/** 256 MiB of random data, so that reads meet allocated blocks in the page cache. */
async function imageFile(): Promise<string> {
  const file = path.join(workFolder, 'disk.img');
  const image = await open(file, 'w');
  const piece = Buffer.alloc(4 * mib);
  for (let i = 0; i < 64; i++) await image.write(randomFillSync(piece));
  await image.close();
  return file;
}
