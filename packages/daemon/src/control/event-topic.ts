import type { ServerResponse } from 'node:http';
import { type EventReader, EventStream } from './event-stream.ts';
import type { EventRoute } from './route.ts';
import { sliceMs } from './slices.ts';

/**
 * One route's events, for all who read them. Changes are noted as they happen and written later, between the device's turns and once in a slice, so a
 * device in full work is held up little, by many changes as by many readers.
 */
export class EventTopic {
  readonly #route: EventRoute;
  readonly #readers = new Set<EventReader>();
  readonly #write = () => this.#writeAll();
  #unsubscribe: (() => void) | null = null;
  #scheduled = false;
  #writtenMs = 0;

  constructor(route: EventRoute) {
    this.#route = route;
  }

  get readers(): number {
    return this.#readers.size;
  }

  /** Answers a request with `state`, and goes on until the reader goes. */
  open(response: ServerResponse): void {
    const reader = new EventStream(response, () => this.#route.state.read());
    this.#readers.add(reader);
    this.#unsubscribe ??= this.#route.change.subscribe((change) => this.#note(change));
    response.on('drain', () => this.#schedule());
    response.on('close', () => {
      this.#readers.delete(reader);
      if (this.#readers.size > 0) return;
      this.#unsubscribe?.();
      this.#unsubscribe = null;
    });
  }

  #note(data: unknown): void {
    const change = { data, text: null };
    for (const reader of this.#readers) reader.note(change);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    const waitMs = this.#writtenMs + sliceMs - performance.now();
    if (waitMs > 0) setTimeout(this.#write, waitMs);
    else setImmediate(this.#write);
  }

  #writeAll(): void {
    this.#scheduled = false;
    this.#writtenMs = performance.now();
    let more = false;
    for (const reader of this.#readers) more = reader.write() || more;
    if (more) this.#schedule();
  }
}
