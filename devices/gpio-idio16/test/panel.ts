import { request } from 'node:http';
import type { DaemonProcess } from '@sidecard/testing';

interface Ask {
  readonly method?: string;
  readonly headers?: object;
  readonly body?: string | undefined;
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

export interface PanelEvent {
  readonly event: string;
  readonly data: unknown;
}

/** A daemon's panel, once its log has named it. */
export async function openPanel(daemon: DaemonProcess): Promise<Panel> {
  await daemon.logged(/"panel":"/);
  return new Panel(/"panel":"([^"]+)"/.exec(daemon.log)![1]!);
}

/** A panel, as its page uses it. */
export class Panel {
  /** For a browser: the token is in its fragment. */
  readonly url: string;

  constructor(url: string) {
    this.url = url;
  }

  patch(inputs: object): Promise<Answer> {
    const headers = { 'content-type': 'application/json', 'sec-fetch-site': 'same-origin' };
    return this.ask('/inputs', { method: 'PATCH', headers, body: JSON.stringify(inputs) });
  }

  /** With the token, unless the headers have another. */
  async ask(path: string, { method = 'GET', headers = {}, body }: Ask = {}): Promise<Answer> {
    const length = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) };
    const all = { ...this.#authorization, ...length, ...headers };
    return new Promise((resolve, reject) => {
      const sent = request(new URL(path, this.url), { method, headers: all }, async (answer) => {
        let text = '';
        for await (const piece of answer) text += piece;
        resolve({ status: answer.statusCode!, text });
      });
      sent.on('error', reject);
      sent.end(body);
    });
  }

  async *events(): AsyncGenerator<PanelEvent, void, void> {
    const answer = await fetch(new URL('/changes', this.url), { headers: this.#authorization });
    let rest = '';
    for await (const text of answer.body!.pipeThrough(new TextDecoderStream())) {
      const blocks = (rest + text).split('\n\n');
      rest = blocks.pop()!;
      for (const block of blocks) {
        const [, event = '', data = ''] = /^event: (.*)\ndata: (.*)$/.exec(block) ?? [];
        yield { event, data: JSON.parse(data) };
      }
    }
  }

  get #authorization(): { authorization: string } {
    return { authorization: `Bearer ${new URLSearchParams(new URL(this.url).hash.slice(1)).get('token')}` };
  }
}
