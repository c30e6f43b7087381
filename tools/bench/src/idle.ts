import { setTimeout as sleep } from 'node:timers/promises';
import { connectOnly } from './attached-client.ts';
import { median, startNvme } from './process.ts';
import type { Row } from './table.ts';

/** (c) What an attached daemon costs while nothing happens, and what starting one costs. */
export async function idleDaemon(settleSeconds: number, seconds: number, runs: number): Promise<Row[]> {
  const daemon = await startNvme(['--drive', 'null:1G']);
  const client = await connectOnly(daemon.socket);
  // What V8 still has to do after the start (compiling, collecting garbage) is over by then.
  await sleep(settleSeconds * 1000);
  const before = daemon.cpuNs();
  await sleep(seconds * 1000);
  const usPerSecond = (daemon.cpuNs() - before) / 1000 / seconds;
  const rss = daemon.residentBytes() / 2 ** 20;
  client.destroy();
  await daemon.stop();

  const ready: number[] = [];
  for (let i = 0; i < runs; i++) {
    const started = await startNvme(['--drive', 'null:1G']);
    ready.push(started.readyMs);
    await started.stop();
  }
  return [
    { benchmark: 'idle and attached, trapped doorbells: CPU', value: usPerSecond, unit: 'us per s', target: '0' },
    { benchmark: 'idle and attached: memory', value: rss, unit: 'MiB', target: 'under 80' },
    { benchmark: 'start until the socket takes a client', value: median(ready), unit: 'ms', target: 'under 300' },
  ];
}
