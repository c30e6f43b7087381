/** A guest that accesses the card without a pause, in a thread of its own. The memory that it sends has how often, and the longest wait, us. */
import { parentPort, workerData } from 'node:worker_threads';
import { loadNative } from '@sidecard/native';
import { SocketTransport, VfioUserClient } from '@sidecard/testing';

const client = new VfioUserClient(SocketTransport.connect(loadNative(), workerData as string));
client.version();
const counts = new Int32Array(new SharedArrayBuffer(8));
parentPort!.postMessage(counts.buffer);
for (;;) {
  const before = performance.now();
  client.regionRead(2, 0, 1);
  Atomics.add(counts, 0, 1);
  const us = Math.round((performance.now() - before) * 1000);
  if (us > Atomics.load(counts, 1)) Atomics.store(counts, 1, us);
}
