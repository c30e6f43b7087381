/** Gets the lines that have changed, a bit for each. Called while a guest's access waits for its answer: it notes them and returns. */
export type LineWatcher = (outputs: number, inputs: number) => void;

/** Tells of changes of the lines, and counts them since the daemon started. */
export class LineChanges {
  outputs = 0;
  inputs = 0;
  readonly #watchers = new Set<LineWatcher>();

  /** Until the returned function is called. */
  watch(watcher: LineWatcher): () => void {
    this.#watchers.add(watcher);
    return () => void this.#watchers.delete(watcher);
  }

  tell(outputs: number, inputs: number): void {
    this.outputs += ones(outputs);
    this.inputs += ones(inputs);
    for (const watcher of this.#watchers) watcher(outputs, inputs);
  }
}

function ones(bits: number): number {
  let count = 0;
  for (let rest = bits & 0xffff; rest !== 0; rest &= rest - 1) count++;
  return count;
}
