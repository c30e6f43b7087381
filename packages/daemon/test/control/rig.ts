import { mkdtempSync, rmSync } from 'node:fs';
import { type Agent, type IncomingMessage, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { bindSocket } from '@sidecard/core';
import { loadNative } from '@sidecard/native';
import { RecordedLog } from '@sidecard/testing';
import { ControlServer, type ControlServerOptions } from '../../src/control/control-server.ts';
import { type EventRoute, Refusal, type Route } from '../../src/control/route.ts';

const level = { enum: [0, 1] };

export type RigOptions = Pick<ControlServerOptions, 'guard' | 'share'> & { readonly files?: readonly Route[] };

/** A control server with a device that counts what reaches it. */
export class Rig {
  readonly folder = mkdtempSync(join(tmpdir(), 'control-'));
  /** Where it listens. */
  #at: { readonly socketPath: string } | { readonly host: string; readonly port: number } = {
    socketPath: join(this.folder, 'control.sock'),
  };
  readonly log = new RecordedLog();
  readonly lamps: { [name: string]: number } = { red: 0, green: 0 };
  /** Handlers that ran. */
  handled = 0;
  readonly senders = new Set<(change: unknown) => void>();
  readonly server: ControlServer;
  #release: (() => void)[] = [];

  readonly routes: Route[] = [
    {
      method: 'GET',
      path: '/lamps',
      summary: 'All.',
      answer: { type: 'object' },
      handle: () => this.#seen(this.lamps),
    },
    {
      method: 'PATCH',
      path: '/lamps',
      summary: 'Some.',
      body: {
        type: 'object',
        properties: { red: level, green: level },
        minProperties: 1,
        additionalProperties: false,
      },
      handle: ({ body }) => void Object.assign(this.#seen(this.lamps), body),
    },
    {
      method: 'GET',
      path: '/lamps/{number}',
      summary: 'One.',
      parameters: { number: { type: 'integer', minimum: 1, maximum: 9 } },
      query: { how: { enum: ['short', 'long'] } },
      answer: { type: 'object' },
      handle: ({ parameters }) => this.#seen({ parameters }),
    },
    {
      method: 'DELETE',
      path: '/lamps/{number}',
      summary: 'Not now.',
      parameters: { number: { type: 'integer' } },
      handle: () => {
        throw new Refusal(409, 'it is lit');
      },
    },
    {
      method: 'POST',
      path: '/broken',
      summary: 'Our mistake.',
      handle: () => {
        throw new TypeError('secret detail');
      },
    },
    {
      method: 'POST',
      path: '/slow',
      summary: 'Takes until it is released.',
      handle: () => this.#seen(new Promise<void>((resolve) => this.#release.push(resolve))),
    },
  ];
  readonly events: EventRoute[] = [
    {
      path: '/changes',
      summary: 'Lamps.',
      state: { answer: { type: 'object' }, read: () => this.lamps },
      change: {
        answer: { type: 'object' },
        subscribe: (send) => {
          this.senders.add(send);
          return () => void this.senders.delete(send);
        },
      },
    },
  ];

  private constructor({ files = [], ...options }: RigOptions) {
    const { routes, events, log } = this;
    this.server = new ControlServer({ routes: [...files, ...routes], events, log, ...options });
  }

  static start(options: RigOptions = {}): Rig {
    const rig = new Rig(options);
    const native = loadNative();
    rig.server.listen(native, bindSocket(native, join(rig.folder, 'control.sock'), 512).fd);
    return rig;
  }

  static startTcp(options: RigOptions): Rig {
    const rig = new Rig(options);
    const native = loadNative();
    const fd = native.listenTcp('127.0.0.1', 0, 64);
    rig.#at = { host: '127.0.0.1', port: native.tcpPort(fd) };
    rig.server.listen(native, fd);
    return rig;
  }

  get port(): number {
    return 'port' in this.#at ? this.#at.port : 0;
  }

  close(): void {
    this.server.close();
    rmSync(this.folder, { recursive: true });
  }

  release(): void {
    for (const release of this.#release.splice(0)) release();
  }

  change(data: unknown): void {
    for (const send of this.senders) send(data);
  }

  /** A well-made request: its status, headers and body. */
  ask(
    method: string,
    path: string,
    body?: unknown,
    headers: object = {},
    agent: Agent | false = false,
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const text = body === undefined ? undefined : Buffer.isBuffer(body) ? body : JSON.stringify(body);
      const json =
        text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
      const sent = request({ ...this.#at, method, path, agent, headers: { ...json, ...headers } }, (got) =>
        resolve(wholeAnswer(got)),
      );
      sent.on('error', reject);
      sent.end(text);
    });
  }

  /** Bytes as they are; everything that comes until the end, or until nothing has come for `quietMs`. */
  async raw(bytes: string | Buffer, { half = false, quietMs = 2000 } = {}): Promise<string> {
    const socket = this.connect();
    let got = '';
    socket.on('data', (data) => {
      got += data;
    });
    const ended = new Promise((resolve) => socket.on('close', resolve));
    socket.write(bytes);
    if (half) socket.end();
    await Promise.race([ended, setTimeout(quietMs)]);
    socket.destroy();
    return got;
  }

  connect(): Socket {
    return ('port' in this.#at ? connect(this.#at) : connect(this.#at.socketPath)).on('error', () => {});
  }

  #seen<T>(value: T): T {
    this.handled++;
    return value;
  }
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly text: string;
  readonly json: unknown;
}

async function wholeAnswer(message: IncomingMessage): Promise<Answer> {
  let text = '';
  for await (const chunk of message) text += chunk;
  const json = message.headers['content-type'] === 'application/json' && text !== '' ? JSON.parse(text) : null;
  return { status: message.statusCode!, headers: message.headers, text, json };
}
