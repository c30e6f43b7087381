import type { ServerResponse } from 'node:http';

/** Changes kept for one reader until they are written. */
export const maxWaiting = 1000;
/** Changes written in one go. */
const batch = 200;

/** A change for all readers, made into text for the first who is written to. */
export interface Change {
  readonly data: unknown;
  text: string | null;
}

export interface EventReader {
  note(change: Change): void;
  /** Writes some of what waits. True when there is more that can be written. */
  write(): boolean;
}

/**
 * One reader. When it does not keep up it is told how many changes it has missed, and then how things are: nothing waits for it, and what is kept for
 * it has an end.
 */
export class EventStream implements EventReader {
  readonly #response: ServerResponse;
  readonly #state: () => unknown;
  #waiting: Change[] = [];
  #missed = 0;

  constructor(response: ServerResponse, state: () => unknown) {
    this.#response = response;
    this.#state = state;
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    response.write(eventText('state', state()));
  }

  note(change: Change): void {
    if (this.#missed > 0 || this.#waiting.length >= maxWaiting) this.#missed++;
    else this.#waiting.push(change);
  }

  write(): boolean {
    if (this.#response.writableNeedDrain || this.#response.destroyed) return false;
    let text = '';
    for (const change of this.#waiting.splice(0, batch)) {
      change.text ??= eventText('change', change.data);
      text += change.text;
    }
    if (this.#waiting.length === 0 && this.#missed > 0) {
      text += eventText('missed', { changes: this.#missed }) + eventText('state', this.#state());
      this.#missed = 0;
    }
    if (text === '') return false;
    return this.#response.write(text) && this.#waiting.length > 0;
  }
}

function eventText(event: string, data: unknown): string {
  return `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}
