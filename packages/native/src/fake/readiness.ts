import { WatchEvent } from '../constants.ts';
import type { Watch } from '../native.ts';
import type { OpenFile } from './descriptors.ts';

/** Level-triggered watches: after each change, and as long as something is ready, callbacks run on a turn of their own. */
export class Readiness {
  readonly #watches = new Set<FakeWatch>();
  #scheduled = false;

  watch(file: OpenFile, events: 'read' | 'write', callback: (events: number) => void): Watch {
    const watch = new FakeWatch(this, file, events, callback);
    this.#watches.add(watch);
    this.changed();
    return watch;
  }

  watches(file: OpenFile): boolean {
    return [...this.#watches].some((watch) => watch.file === file);
  }

  forget(watch: FakeWatch): void {
    this.#watches.delete(watch);
  }

  changed(): void {
    if (this.#scheduled || ![...this.#watches].some((watch) => watch.ready)) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      for (const watch of [...this.#watches]) if (watch.ready) watch.run();
      this.changed();
    });
  }
}

class FakeWatch implements Watch {
  readonly file: OpenFile;
  readonly #readiness: Readiness;
  readonly #events: 'read' | 'write';
  readonly #callback: (events: number) => void;
  #started = true;

  constructor(readiness: Readiness, file: OpenFile, events: 'read' | 'write', callback: (events: number) => void) {
    this.file = file;
    this.#readiness = readiness;
    this.#events = events;
    this.#callback = callback;
  }

  get ready(): boolean {
    return this.#started && (this.#events === 'read' ? this.file.readable : this.file.writable);
  }

  run(): void {
    this.#callback(this.#events === 'read' ? WatchEvent.readable : WatchEvent.writable);
  }

  start(): void {
    this.#started = true;
    this.#readiness.changed();
  }

  stop(): void {
    this.#started = false;
  }

  ref(): void {}

  unref(): void {}

  close(): void {
    this.#started = false;
    this.#readiness.forget(this);
  }
}
