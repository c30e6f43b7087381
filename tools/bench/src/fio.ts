import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { imageFile } from './image.ts';
import { type Effort, type Load, runLoads } from './load.ts';
import { median } from './process.ts';
import type { Row } from './table.ts';

const run = promisify(execFile);
const provisioner = path.join(import.meta.dirname, '..', '..', 'guest', 'dist', 'program.js');

/** How a program is run. */
interface Program {
  readonly command: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}

interface FioJob {
  readonly usr_cpu: number;
  readonly sys_cpu: number;
  readonly read: { readonly total_ios: number; readonly runtime: number };
  readonly write: { readonly total_ios: number; readonly runtime: number };
}

const loads: readonly Load[] = [
  { drive: 'file', operation: 'reads', sizeBytes: 4096, depth: 1 },
  { drive: 'file', operation: 'reads', sizeBytes: 4096, depth: 32 },
  { drive: 'file', operation: 'writes', sizeBytes: 4096, depth: 32 },
];

/**
 * (g) CPU time that the device takes for a command on a file, all of it, against what fio takes with io_uring on the same file without any device. fio submits
 * and reaps as many at once as the driver lets it, and reads no clocks.
 */
export async function cpuAgainstFio({ seconds, runs }: Effort): Promise<Row[]> {
  const fio = await provisionFio();
  if (fio === null) return [];
  const rows: Row[] = [];
  for (const load of loads) {
    const ours: number[] = [];
    const theirs: number[] = [];
    for (let i = 0; i < runs; i++) {
      ours.push((await runLoads([load], { seconds, runs: 1 }))[0]!.cpuNsPerCommand);
      theirs.push(await cpuOfFio(fio, load, seconds));
    }
    rows.push({
      benchmark: `CPU a command, 4 KiB ${load.operation}, file, QD${load.depth}`,
      value: median(ours),
      unit: 'ns',
      comparison: `fio, io_uring ${median(theirs).toFixed(0)}`,
      ratio: median(ours.map((ns, i) => ns / theirs[i]!)),
    });
  }
  return rows;
}

/** From Debian's archive, as guests have it; null where that cannot be had. */
async function provisionFio(): Promise<Program | null> {
  try {
    return JSON.parse((await run(process.execPath, [provisioner, 'fio'])).stdout) as Program;
  } catch (error) {
    console.error(`no fio to compare with: ${(error as { stderr?: string }).stderr ?? error}`);
    return null;
  }
}

/** CPU time of a command, ns: user and system time of the one thread that does all. */
async function cpuOfFio({ command, env }: Program, load: Load, seconds: number): Promise<number> {
  const { operation, sizeBytes, depth } = load;
  const [file, ...first] = command;
  const settings = {
    name: 'file',
    filename: await imageFile(),
    ioengine: 'io_uring',
    rw: operation === 'reads' ? 'randread' : 'randwrite',
    bs: sizeBytes,
    iodepth: depth,
    iodepth_batch_submit: depth,
    iodepth_batch_complete_min: 1,
    iodepth_batch_complete_max: depth,
    runtime: Math.max(1, Math.round(seconds)),
    cpus_allowed: 1,
    invalidate: 0,
    gtod_reduce: 1,
    'output-format': 'json',
  };
  const args = Object.entries(settings).map(([name, value]) => `--${name}=${value}`);
  const { stdout } = await run(file!, [...first, ...args, '--thread', '--time_based', '--norandommap'], {
    env: { ...process.env, ...env },
  });
  const [job] = (JSON.parse(stdout) as { jobs: FioJob[] }).jobs;
  const { total_ios, runtime } = operation === 'reads' ? job!.read : job!.write;
  return (((job!.usr_cpu + job!.sys_cpu) / 100) * runtime * 1e6) / total_ios;
}
