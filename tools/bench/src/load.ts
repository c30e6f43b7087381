import { imageFile } from './image.ts';
import { median, startNvme } from './process.ts';
import { measure } from './programs.ts';
import type { Row } from './table.ts';

/** What the driver in C does with the daemon: random commands of one kind, as many at once as `depth` says, on each queue. */
export interface Load {
  readonly drive: 'null' | 'memory' | 'file';
  readonly operation: 'reads' | 'writes';
  readonly sizeBytes: number;
  readonly depth: number;
  /** I/O queue pairs; 1 unless given. */
  readonly queues?: number;
  /** PRP entries (unless given), one SGL data block, or a data block for each page. */
  readonly pointers?: 'prp' | 'sgl' | 'sgl-pages';
}

/** How long each run takes its time, and how many runs the median is of. */
export interface Effort {
  readonly seconds: number;
  readonly runs: number;
}

/** Medians of the runs. */
export interface LoadResult {
  readonly perSecond: number;
  readonly cpuNsPerCommand: number;
  readonly allocatedBytesPerCommand: number;
}

interface DriverResult {
  commands: number;
  seconds: number;
  cpuSeconds: number;
}

const opcodes = { reads: 2, writes: 1 } as const;
const mib = 1024 * 1024;
/** Young generation, MiB: each collection of it means that so much was allocated. */
const youngMib = 16;

/** Runs loads in turn, so that all of them see the same machine. Device and driver have a core each. */
export async function runLoads(loads: readonly Load[], { seconds, runs }: Effort): Promise<LoadResult[]> {
  const all: LoadResult[][] = loads.map(() => []);
  for (let i = 0; i < runs; i++) {
    for (const [index, load] of loads.entries()) all[index]!.push(await runOnce(load, seconds));
  }
  return all.map((results) => ({
    perSecond: median(results.map((r) => r.perSecond)),
    cpuNsPerCommand: median(results.map((r) => r.cpuNsPerCommand)),
    allocatedBytesPerCommand: median(results.map((r) => r.allocatedBytesPerCommand)),
  }));
}

/** A row of commands per second. */
export function rateRow(benchmark: string, result: LoadResult): Row {
  const { perSecond, cpuNsPerCommand, allocatedBytesPerCommand } = result;
  return { benchmark, value: Math.round(perSecond), unit: 'commands/s', cpuNsPerCommand, allocatedBytesPerCommand };
}

export function sizeName(sizeBytes: number): string {
  return `${sizeBytes / 1024} KiB`;
}

async function runOnce(load: Load, seconds: number): Promise<LoadResult> {
  const { operation, sizeBytes, depth, queues = 1, pointers = 'prp' } = load;
  // Garbage collections are the proof of what was allocated: V8 logs each.
  const nodeFlags = ['--trace-gc', `--min-semi-space-size=${youngMib}`, `--max-semi-space-size=${youngMib}`];
  const daemon = await startNvme(
    ['--drive', await driveOf(load.drive), '--doorbells', 'mapped', '--poll', 'dedicated'],
    { cpus: '1', nodeFlags },
  );
  try {
    const args = [
      daemon.socket,
      opcodes[operation],
      sizeBytes,
      depth,
      seconds,
      'mapped',
      0,
      daemon.pid,
      queues,
      pointers,
    ];
    const collected = scavenges(daemon.log);
    const { commands, seconds: took, cpuSeconds } = await measure<DriverResult>('nvme-driver', args);
    const during = scavenges(daemon.log) - collected;
    return {
      perSecond: commands / took,
      cpuNsPerCommand: (cpuSeconds / commands) * 1e9,
      allocatedBytesPerCommand: (during * youngMib * mib) / commands,
    };
  } finally {
    await daemon.stop();
  }
}

async function driveOf(drive: Load['drive']): Promise<string> {
  if (drive === 'file') return imageFile();
  return drive === 'null' ? 'null:1G' : 'mem:512M';
}

function scavenges(log: string): number {
  return log.split('Scavenge').length - 1;
}
