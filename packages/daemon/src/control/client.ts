import { Agent, type IncomingMessage, request } from 'node:http';

/** What a daemon refused, with its reason. */
export class ControlError extends Error {
  readonly status: number;

  constructor(status: number, reason: string) {
    super(reason);
    this.name = 'ControlError';
    this.status = status;
  }
}

export interface ControlEvent {
  readonly event: string;
  readonly data: unknown;
}

/** A daemon's control socket, from outside. Rejects with ControlError, or an Error of one line when nobody is there. */
export class ControlClient {
  readonly #path: string;
  readonly #agent = new Agent({ keepAlive: true });

  constructor(path: string) {
    this.#path = path;
  }

  /** What is JSON, parsed; else the text. */
  get(route: string): Promise<unknown> {
    return this.#json('GET', route);
  }

  patch(route: string, body: unknown): Promise<unknown> {
    return this.#json('PATCH', route, body);
  }

  post(route: string, body?: unknown): Promise<unknown> {
    return this.#json('POST', route, body);
  }

  put(route: string, body: unknown): Promise<unknown> {
    return this.#json('PUT', route, body);
  }

  delete(route: string): Promise<unknown> {
    return this.#json('DELETE', route);
  }

  /** A stream's events, until the daemon goes or the loop is left. */
  async *events(route: string): AsyncGenerator<ControlEvent, void, void> {
    const answer = await this.#ask('GET', route);
    if (answer.statusCode !== 200) throw await refusal(answer);
    let rest = '';
    try {
      for await (const text of answer.setEncoding('utf8')) {
        const blocks = (rest + text).split('\n\n');
        rest = blocks.pop()!;
        for (const block of blocks) yield parseEvent(block);
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ECONNRESET') throw error;
    } finally {
      answer.destroy();
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  async #json(method: string, route: string, body?: unknown): Promise<unknown> {
    const answer = await this.#ask(method, route, body);
    if (answer.statusCode! >= 300) throw await refusal(answer);
    const text = await whole(answer);
    return answer.headers['content-type'] === 'application/json' ? JSON.parse(text) : text;
  }

  /** Asks again, once, when a connection that was kept has been closed just then. */
  async #ask(method: string, route: string, body?: unknown): Promise<IncomingMessage> {
    const asked = await this.#once(method, route, body);
    return asked ?? (await this.#once(method, route, body))!;
  }

  #once(method: string, route: string, body: unknown): Promise<IncomingMessage | null> {
    const text = body === undefined ? null : JSON.stringify(body);
    const headers =
      text === null ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
    return new Promise((resolve, reject) => {
      const sent = request({ socketPath: this.#path, agent: this.#agent, method, path: route, headers }, resolve);
      sent.on('error', (error: NodeJS.ErrnoException) => {
        if (sent.reusedSocket && error.code === 'ECONNRESET') resolve(null);
        else reject(new Error(`no daemon answers at ${this.#path}: ${reasons[error.code ?? ''] ?? error.message}`));
      });
      sent.end(text);
    });
  }
}

const reasons: { readonly [code: string]: string } = {
  ENOENT: 'there is no such socket',
  ENOTDIR: 'there is no such socket',
  ECONNREFUSED: 'nobody listens there',
  ENOTSOCK: 'it is no socket',
  EACCES: 'permission denied',
  ECONNRESET: 'it hung up',
};

async function refusal(answer: IncomingMessage): Promise<ControlError> {
  const text = await whole(answer);
  try {
    return new ControlError(answer.statusCode!, (JSON.parse(text) as { error: string }).error);
  } catch {
    return new ControlError(answer.statusCode!, `the daemon answered ${answer.statusCode}`);
  }
}

async function whole(answer: IncomingMessage): Promise<string> {
  let text = '';
  for await (const piece of answer.setEncoding('utf8')) text += piece;
  return text;
}

function parseEvent(block: string): ControlEvent {
  const field = (name: string) =>
    block
      .split('\n')
      .find((line) => line.startsWith(`${name}: `))
      ?.slice(name.length + 2);
  return { event: field('event') ?? 'message', data: JSON.parse(field('data') ?? 'null') };
}
