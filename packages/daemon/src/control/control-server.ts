import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Log } from '@sidecard/core';
import type { Native } from '@sidecard/native';
import { Acceptor } from './acceptor.ts';
import { Checks } from './checks.ts';
import { Connections } from './connections.ts';
import { EventTopic } from './event-topic.ts';
import { parserRefusal, refusalText, refuse } from './refusals.ts';
import { checkBodyHeader, readBody } from './request-body.ts';
import { type EventRoute, Refusal, type Route } from './route.ts';
import { Router } from './router.ts';
import { Turns } from './turns.ts';

/** Longest header, bytes. */
const maxHeaderBytes = 8192;
/** Readers of streams at once. */
export const maxStreams = 16;

export interface ControlServerOptions {
  readonly routes: readonly Route[];
  readonly events: readonly EventRoute[];
  readonly log: Log;
}

/**
 * The HTTP server of the control socket. It runs on the device's thread, between its turns, and takes a bounded part of it whatever the number of
 * clients; an idle server has no timers.
 */
export class ControlServer {
  readonly #router: Router;
  readonly #checks = new Map<Route, Checks>();
  readonly #log: Log;
  readonly #http: Server;
  readonly #connections = new Connections();
  readonly #topics = new Map<EventRoute, EventTopic>();
  readonly #turns = new Turns();
  #acceptor: Acceptor | null = null;
  /** Connections taken so far. */
  accepted = 0;

  /** @throws when two routes are the same, or a schema is wrong. */
  constructor({ routes, events, log }: ControlServerOptions) {
    this.#router = new Router(routes, events);
    for (const route of routes) this.#checks.set(route, new Checks(route));
    for (const route of events) this.#topics.set(route, new EventTopic(route));
    this.#log = log;
    // It does not listen, but is handed connections, whose times Connections keeps.
    this.#http = createServer({ maxHeaderSize: maxHeaderBytes, requireHostHeader: false, keepAliveTimeout: 0 });
    this.#http.on('request', (request, response) => this.#requested(request, response));
    this.#http.on('checkExpectation', (_, response) =>
      refuse(response, new Refusal(417, 'nothing but 100-continue can be expected')),
    );
    this.#http.on('connect', (_, socket) => socket.end(refusalText(405, 'this is no proxy')));
    this.#http.on('clientError', (error, socket) => {
      const { status, message } = parserRefusal(error);
      if (socket.writable) socket.end(refusalText(status, message));
      else socket.destroy();
    });
  }

  /** Serves a socket that listens, and owns it from then on; connections may be waiting there. */
  listen(native: Native, fd: number): void {
    this.#acceptor = new Acceptor(native, fd, (socket) => {
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
    this.#serve(request, response).catch((error: unknown) => {
      if (!(error instanceof Refusal)) {
        this.#log.error(
          { error, request: `${request.method} ${request.url}` },
          'A control request failed: please report it',
        );
      }
      refuse(
        response,
        error instanceof Refusal ? error : new Refusal(500, 'the daemon failed at this; its log says more'),
      );
    });
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { path, search } = target(request.url ?? '');
    const found = this.#router.find(request.method ?? '', path);
    if (found.kind === 'events') {
      checkBodyHeader(request, false);
      await this.#turns.wait();
      this.#connections.received(request.socket);
      this.#stream(response, found.route);
      return;
    }
    const { route } = found;
    const checks = this.#checks.get(route)!;
    checkBodyHeader(request, checks.wantsBody);
    const parameters = checks.parameters(found.parameters, search);
    const given = checks.wantsBody ? await readBody(request) : undefined;
    this.#connections.received(request.socket);
    await this.#turns.wait();
    if (request.socket.destroyed) return;
    const answer = await route.handle({ body: checks.body(given), parameters });
    if (route.method !== 'GET') this.#log.debug({ method: route.method, path }, 'control');
    answerWith(response, route, answer);
  }

  #stream(response: ServerResponse, route: EventRoute): void {
    let readers = 0;
    for (const topic of this.#topics.values()) readers += topic.readers;
    if (readers >= maxStreams) throw new Refusal(503, `there are ${maxStreams} streams already`);
    this.#topics.get(route)!.open(response);
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
