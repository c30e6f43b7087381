import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Log } from '@sidecard/core';
import type { Native } from '@sidecard/native';
import { Acceptor } from './acceptor.ts';
import { Checks } from './checks.ts';
import { Connections } from './connections.ts';
import type { Guard } from './guard.ts';
import { parserRefusal, refusalText, refuse } from './refusals.ts';
import { checkBodyHeader, readBody } from './request-body.ts';
import { type EventRoute, Refusal, type Route } from './route.ts';
import { Router } from './router.ts';
import { Share } from './share.ts';

/** Longest header, bytes. */
const maxHeaderBytes = 8192;

export interface ControlServerOptions {
  readonly routes: readonly Route[];
  readonly events: readonly EventRoute[];
  readonly log: Log;
  /** Of the device's thread: where it has several servers, they have one. */
  readonly share?: Share;
  /** Without one, whoever can connect may ask. */
  readonly guard?: Guard;
}

/**
 * The HTTP server of a control socket or a panel. It runs on the device's thread, between its turns, and takes a bounded part of it whatever the number of
 * clients; an idle server has no timers.
 */
export class ControlServer {
  readonly #router: Router;
  readonly #checks = new Map<Route, Checks>();
  readonly #log: Log;
  readonly #http: Server;
  readonly #connections = new Connections();
  readonly #share: Share;
  readonly #guard: Guard | null;
  #acceptor: Acceptor | null = null;
  /** Connections taken so far. */
  accepted = 0;

  /** @throws when two routes are the same, or a schema is wrong. */
  constructor({ routes, events, log, share = new Share(), guard }: ControlServerOptions) {
    this.#router = new Router(routes, events);
    for (const route of routes) this.#checks.set(route, new Checks(route));
    this.#log = log;
    this.#share = share;
    this.#guard = guard ?? null;
    // It does not listen, but is handed connections, whose times Connections keeps.
    this.#http = createServer({ maxHeaderSize: maxHeaderBytes, requireHostHeader: false, keepAliveTimeout: 0 });
    this.#http.on('request', (request, response) => this.#requested(request, response));
    this.#http.on('checkExpectation', (request, response) => this.#requested(request, response));
    this.#http.on('connect', (_, socket) => socket.end(refusalText(405, 'this is no proxy')));
    this.#http.on('clientError', (error, socket) => {
      const { status, message } = parserRefusal(error);
      if (socket.writable) socket.end(refusalText(status, message));
      else socket.destroy();
    });
  }

  /** Serves a socket that listens, and owns it from then on; connections may be waiting there. */
  listen(native: Native, fd: number): void {
    this.#acceptor = new Acceptor(native, fd, this.#share.accepts, (socket) => {
      this.accepted++;
      if (this.#connections.add(socket)) this.#http.emit('connection', socket);
    });
  }

  /** Ends all connections, and closes the socket. */
  close(): void {
    this.#acceptor?.close();
    this.#connections.close();
  }

  #requested(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    if (socket.destroyed) return;
    if (!this.#connections.begin(socket)) {
      socket.destroy();
      return;
    }
    response.on('close', () => this.#connections.answered(socket));
    this.#serve(request, response).catch(async (error: unknown) => {
      const refusal = this.#refusalOf(error, request);
      // What is refused has a turn as well: asking nonsense without a pause takes no more of the thread than asking well.
      await this.#share.turns.wait();
      refuse(response, refusal);
    });
  }

  #refusalOf(error: unknown, { method, url }: IncomingMessage): Refusal {
    if (error instanceof Refusal) return error;
    this.#log.error({ error, request: `${method} ${url}` }, 'A control request failed: please report it');
    return new Refusal(500, 'the daemon failed at this; its log says more');
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    for (const [name, value] of Object.entries(this.#guard?.headers ?? {})) response.setHeader(name, value);
    const { path, search } = target(request.url ?? '');
    this.#guard?.admit(request, path);
    if (!/^(100-continue)?$/i.test(request.headers.expect ?? '')) {
      throw new Refusal(417, 'nothing but 100-continue can be expected');
    }
    const found = this.#router.find(request.method ?? '', path);
    if (found.kind === 'events') {
      checkBodyHeader(request, false);
      await this.#share.turns.wait();
      if (request.socket.destroyed) return;
      this.#connections.received(request.socket);
      this.#share.topic(found.route).open(response);
      return;
    }
    const { route } = found;
    const checks = this.#checks.get(route)!;
    checkBodyHeader(request, checks.wantsBody);
    const parameters = checks.parameters(found.parameters, search);
    const given = checks.wantsBody ? await readBody(request) : undefined;
    this.#connections.received(request.socket);
    await this.#share.turns.wait();
    if (request.socket.destroyed) return;
    const answer = await route.handle({ body: checks.body(given), parameters });
    if (route.method !== 'GET') this.#log.debug({ method: route.method, path }, 'control');
    answerWith(response, route, answer);
  }
}

/** @throws Refusal 400 */
function target(url: string): { path: string; search: URLSearchParams } {
  if (!url.startsWith('/')) throw new Refusal(400, 'the target of a request begins with /');
  const [path = '', ...rest] = url.split('?');
  return { path, search: new URLSearchParams(rest.join('?')) };
}

function answerWith(response: ServerResponse, route: Route, answer: unknown): void {
  if (route.answer === undefined) {
    response.writeHead(204).end();
    return;
  }
  const body = route.answerType === undefined ? `${JSON.stringify(answer)}\n` : String(answer);
  response.writeHead(200, {
    'content-type': route.answerType ?? 'application/json',
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
  });
  response.end(body);
}
