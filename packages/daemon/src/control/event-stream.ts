import type { ServerResponse } from 'node:http';
import type { EventRoute } from './route.ts';

/** Changes kept for one reader until they are written. */
export const maxWaiting = 1000;
/** Changes written in one go: a device in full work waits no longer than some ten microseconds for each reader. */
const batch = 32;

/**
 * One reader of a stream. Changes are noted as they happen and written later, between the device's turns; a reader that does not keep up is told how
 * many it has missed and then how things are, so nothing waits for it and what is kept for it has an end.
 */
export class EventStream {
  readonly #response: ServerResponse;
  readonly #route: EventRoute;
  readonly #unsubscribe: () => void;
  readonly #write = () => this.#writeSome();
  #waiting: unknown[] = [];
  #missed = 0;
  #scheduled = false;
  #full = false;
  #ended = false;

  /** Answers the request with `state`, and goes on until the reader goes. */
  constructor(response: ServerResponse, route: EventRoute) {
    this.#response = response;
    this.#route = route;
    response.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
    });
    response.on('drain', () => {
      this.#full = false;
      this.#schedule();
    });
    this.#put(eventText('state', route.state.read()));
    this.#unsubscribe = route.change.subscribe((change) => this.#note(change));
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#unsubscribe();
    this.#waiting = [];
  }

  #note(change: unknown): void {
    if (this.#waiting.length >= maxWaiting || this.#missed > 0) this.#missed++;
    else this.#waiting.push(change);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled || this.#full || this.#ended) return;
    this.#scheduled = true;
    setImmediate(this.#write);
  }

  #writeSome(): void {
    this.#scheduled = false;
    if (this.#ended || this.#full) return;
    let text = '';
    for (const change of this.#waiting.splice(0, batch)) text += eventText('change', change);
    if (this.#waiting.length === 0 && this.#missed > 0) {
      text += eventText('missed', { changes: this.#missed }) + eventText('state', this.#route.state.read());
      this.#missed = 0;
    }
    if (text !== '') this.#put(text);
    if (this.#waiting.length > 0) this.#schedule();
  }

  #put(text: string): void {
    this.#full = !this.#response.write(text);
  }
}

function eventText(event: string, data: unknown): string {
  return `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}
