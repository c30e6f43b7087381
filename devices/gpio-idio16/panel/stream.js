/**
 * Why nothing comes, in a sentence, and whether it will change by itself.
 * @typedef {{ readonly reason: string, readonly retryMs: number }} Trouble
 */

/**
 * @typedef {object} Listener
 * @property {(event: string, data: any) => void} event
 * @property {() => void} pause everything that has come so far has been told
 * @property {(trouble: Trouble) => void} gone
 */

const soonMs = 250;
const lateMs = 2000;
const neverMs = 5000;

/** The daemon's stream of changes, opened again whenever it ends. Each time it begins with how things are. */
export class Stream {
  #path;
  /** @type {() => HeadersInit} */
  #headers;
  #listener;
  /** @type {AbortController | null} */
  #open = null;
  #failures = 0;

  /**
   * @param {string} path
   * @param {() => HeadersInit} headers
   * @param {Listener} listener
   */
  constructor(path, headers, listener) {
    this.#path = path;
    this.#headers = headers;
    this.#listener = listener;
  }

  /** Opens it, anew if it is open. */
  start() {
    this.stop();
    this.#failures = 0;
    this.#open = new AbortController();
    void this.#run(this.#open.signal);
  }

  stop() {
    this.#open?.abort();
    this.#open = null;
  }

  /** @param {AbortSignal} signal */
  async #run(signal) {
    while (!signal.aborted) {
      const trouble = await this.#read(signal).catch(() => this.#silence());
      if (signal.aborted) return;
      this.#listener.gone(trouble);
      await new Promise((resolve) => setTimeout(resolve, trouble.retryMs));
    }
  }

  /** @returns {Trouble} */
  #silence() {
    const retryMs = Math.min(lateMs, soonMs * 2 ** this.#failures++);
    return { reason: 'The daemon is gone: trying again', retryMs };
  }

  /**
   * Reads to the end, which is no good sign.
   * @param {AbortSignal} signal
   * @returns {Promise<Trouble>}
   */
  async #read(signal) {
    const answer = await fetch(this.#path, { headers: this.#headers(), cache: 'no-store', signal });
    if (!answer.ok || answer.body === null) return { reason: await reasonOf(answer), retryMs: neverMs };
    this.#failures = 0;
    let rest = '';
    for (const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader(); ; ) {
      const { done, value } = await reader.read();
      if (signal.aborted || done) return this.#silence();
      const events = (rest + value).split('\n\n');
      rest = /** @type {string} */ (events.pop());
      for (const text of events) this.#tell(text);
      this.#listener.pause();
    }
  }

  /** @param {string} text */
  #tell(text) {
    const [, event = '', data = 'null'] = /^event: (.*)\ndata: (.*)$/.exec(text) ?? [];
    this.#listener.event(event, JSON.parse(data));
  }
}

/**
 * Why the daemon refused, as it says itself.
 * @param {Response} answer
 * @returns {Promise<string>}
 */
export async function reasonOf(answer) {
  try {
    return (await answer.json()).error;
  } catch {
    return `no daemon of a card answers here (${answer.status})`;
  }
}
