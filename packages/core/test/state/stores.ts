/**
 * What the memory would be had the process been killed after any store that `body` makes into `buffer`. Stores that can
 * be watched (DataView, Atomics, set, copyWithin, fill) part the run; plain element stores in between are taken byte by byte
 * in ascending order within each part. Only Atomics.store is whole.
 */
export function afterEachStore(buffer: ArrayBuffer, body: () => void): ArrayBuffer[] {
  const memories: ArrayBuffer[] = [];
  let last = new Uint8Array(buffer.slice(0));
  const look = () => {
    const now = new Uint8Array(buffer.slice(0));
    for (let i = 0; i < now.length; i++) {
      if (now[i] === last[i]) continue;
      last[i] = now[i]!;
      memories.push(last.buffer.slice(0));
    }
    last = now;
  };
  const whole = () => {
    last = new Uint8Array(buffer.slice(0));
    memories.push(last.buffer.slice(0));
  };
  const restore: (() => void)[] = [];
  const watch = (object: object, name: string) => {
    const original = Object.getOwnPropertyDescriptor(object, name)!;
    const call = original.value as (...args: unknown[]) => unknown;
    const watched = function (this: unknown, ...args: unknown[]) {
      look();
      const result = call.apply(this, args);
      if (object === Atomics) whole();
      else look();
      return result;
    };
    Object.defineProperty(object, name, { ...original, value: watched });
    restore.push(() => Object.defineProperty(object, name, original));
  };
  for (const name of ['setUint8', 'setUint16', 'setUint32']) watch(DataView.prototype, name);
  for (const name of ['set', 'copyWithin', 'fill']) watch(Object.getPrototypeOf(Uint8Array.prototype), name);
  watch(Atomics, 'store');
  try {
    body();
    look();
  } finally {
    for (const undo of restore) undo();
  }
  return memories;
}
