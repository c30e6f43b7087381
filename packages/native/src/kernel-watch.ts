import { type Binding, WatchAction, type WatchPointer } from './binding.ts';
import { WatchEvent } from './constants.ts';
import type { Watch } from './native.ts';
import { checked, systemError } from './system-error.ts';

/** A poll handle of libuv's. */
export class KernelWatch implements Watch {
  readonly #binding: Binding;
  #pointer: WatchPointer | null;

  constructor(binding: Binding, fd: number, events: 'read' | 'write', callback: (events: number) => void) {
    const bits = events === 'read' ? WatchEvent.readable : WatchEvent.writable;
    const pointer = binding.watchOpen(fd, bits, callback, this);
    if (typeof pointer === 'number') throw systemError(pointer, 'watch');
    this.#binding = binding;
    this.#pointer = pointer;
    this.start();
  }

  start(): void {
    checked(this.#control(WatchAction.start), 'watch');
  }

  stop(): void {
    this.#control(WatchAction.stop);
  }

  ref(): void {
    this.#control(WatchAction.ref);
  }

  unref(): void {
    this.#control(WatchAction.unref);
  }

  close(): void {
    this.#control(WatchAction.close);
    this.#pointer = null; // C frees it
  }

  #control(action: number): number {
    return this.#pointer === null ? 0 : this.#binding.watchControl(this.#pointer, action);
  }
}
