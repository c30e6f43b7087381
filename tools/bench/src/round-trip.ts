import { type ChildProcess, spawn } from 'node:child_process';
import type { DaemonProcess } from '@sidecard/testing';
import { median, startNvme, startServer } from './process.ts';
import { measure, program } from './programs.ts';
import type { Row } from './table.ts';

interface RoundTrip {
  p50Ns: number;
  p99Ns: number;
  meanNs: number;
}

/** Where client and server run, and what the client does between two round trips. The client is always on core 0. */
interface Place {
  readonly name: string;
  readonly serverCpus: string;
  readonly pauseUs: number;
}

const clientCpu = 0;

/** (a) A trapped one-byte read against a C server that blocks; `runs` pairs in turn, so that both see the same machine. */
export async function roundTrips(count: number, runs: number): Promise<Row[]> {
  // The daemon may use every core (it does not spin where it has but one) and settles on the one that the client leaves.
  const places: Place[] = [
    { name: 'a core each, back to back', serverCpus: '0-1', pauseUs: 0 },
    { name: 'a core each, 200 us between', serverCpus: '0-1', pauseUs: 200 },
    { name: 'both on one core', serverCpus: '0', pauseUs: 0 },
  ];
  const rows: Row[] = [];
  for (const place of places) rows.push(await compareWithC(place, place.pauseUs ? Math.ceil(count / 5) : count, runs));
  return rows;
}

async function compareWithC(place: Place, count: number, runs: number): Promise<Row> {
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let i = 0; i < runs; i++) {
    ours.push(await timeServer(place, count, () => startNvme(['--drive', 'null:1G'], { cpus: place.serverCpus })));
    const echo = await program('echo-server');
    const cpus = place.serverCpus === '0' ? '0' : '1';
    theirs.push(await timeServer(place, count, () => startServer([echo, '{socket}'], { cpus }), 'echo'));
  }
  return {
    benchmark: `round trip, ${place.name}`,
    value: median(ours) / 1000,
    unit: 'us p50',
    comparison: `C that blocks ${(median(theirs) / 1000).toFixed(1)}`,
    ratio: median(ours.map((ns, i) => ns / theirs[i]!)),
    target: place.serverCpus === '0' ? 'at most 1.5 of C' : 'at most 1.0 of C, aim 0.33',
  };
}

async function timeServer(
  place: Place,
  count: number,
  start: () => Promise<DaemonProcess>,
  protocol: 'vfio-user' | 'echo' = 'vfio-user',
): Promise<number> {
  const server = await start();
  try {
    const args = [server.socket, protocol, count, place.pauseUs, clientCpu];
    return (await measure<RoundTrip>('round-trip', args)).p50Ns;
  } finally {
    await server.stop();
  }
}

/** (d) Twice as many busy threads as cores: the daemon that polls a while against the same daemon that blocks. */
export async function crowdedHost(count: number, runs: number): Promise<Row[]> {
  const rows: Row[] = [];
  for (const [name, cpus, busy] of [
    ['4 busy threads on 2 cores', '0-1', 4],
    ['client and server on one core', '0', 0],
  ] as const) {
    const threads = burn(busy);
    const adaptive: number[] = [];
    const blocking: number[] = [];
    try {
      for (let i = 0; i < runs; i++) {
        adaptive.push(await meanRoundTrip(count, cpus, 'adaptive'));
        blocking.push(await meanRoundTrip(count, cpus, 'never'));
      }
    } finally {
      for (const thread of threads) thread.kill('SIGKILL');
    }
    rows.push({
      benchmark: `crowded host, ${name}`,
      value: median(adaptive) / 1000,
      unit: 'us mean',
      comparison: `same daemon that blocks ${(median(blocking) / 1000).toFixed(1)}`,
      ratio: median(adaptive) / median(blocking),
      target: 'at most 1.2 of blocking',
    });
  }
  return rows;
}

async function meanRoundTrip(count: number, cpus: string, poll: string): Promise<number> {
  const server = await startNvme(['--drive', 'null:1G', '--poll', poll], { cpus });
  try {
    return (await measure<RoundTrip>('round-trip', [server.socket, 'vfio-user', count, 0, clientCpu])).meanNs;
  } finally {
    await server.stop();
  }
}

function burn(threads: number): ChildProcess[] {
  return Array.from({ length: threads }, () => spawn('sh', ['-c', 'while :; do :; done'], { stdio: 'ignore' }));
}
