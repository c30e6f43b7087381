/** JSON Schema: the keywords that draft 7 and 2020-12 (OpenAPI 3.1) have in common. */
export interface Schema {
  readonly [keyword: string]: unknown;
}
export interface Schemas {
  readonly [name: string]: Schema;
}

export type Method = 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE';

/** A request as its handler gets it: checked against the schemas. */
export interface ControlRequest<Body = unknown, Parameters = unknown> {
  readonly body: Body;
  /** What stands in the path's braces and in the query; numbers are numbers. */
  readonly parameters: Parameters;
}

/** One thing that the control socket does, as data: what it takes and gives is checked by it, and described by it in the OpenAPI file. */
export interface Route<Body = unknown, Parameters = unknown> {
  readonly method: Method;
  /** '/namespaces/{nsid}' */
  readonly path: string;
  readonly summary: string;
  /** Of what is in the path's braces, by name. */
  readonly parameters?: Schemas;
  /** Of what may follow a question mark, by name. */
  readonly query?: Schemas;
  /** JSON; without one, a request has no body. */
  readonly body?: Schema;
  /** JSON, or a string where `answerType` is given; without one the answer is empty (204). */
  readonly answer?: Schema;
  readonly answerType?: string;
  /** When the handler throws a Refusal, by its status. */
  readonly refusals?: { readonly [status: number]: string };
  /**
   * Runs between two turns of the device: it takes what is at hand, changes state and returns, or answers a promise for what takes time.
   * @throws Refusal
   */
  handle(request: ControlRequest<Body, Parameters>): unknown;
}

/** A stream of server-sent events (GET): how things are, then each change. */
export interface EventRoute {
  readonly path: string;
  readonly summary: string;
  /** The event `state`: first of all, and again after a reader was too slow for some changes. */
  readonly state: { readonly answer: Schema; read(): unknown };
  /** The event `change`. `send` only keeps what it gets, and may be called anywhere. Answers what ends it. */
  readonly change: { readonly answer: Schema; subscribe(send: (change: unknown) => void): () => void };
}

export interface Sample {
  readonly labels: { readonly [name: string]: string };
  readonly value: number;
}

/** A number for Prometheus, asked for when it is read: nothing runs meanwhile. */
export interface Metric {
  /** 'sidecard_...', with its unit; counters end in '_total'. */
  readonly name: string;
  readonly type: 'counter' | 'gauge';
  readonly help: string;
  read(): number | readonly Sample[];
}

/** What can be asked. */
export interface ControlRoutes {
  readonly routes: readonly Route[];
  readonly events?: readonly EventRoute[];
}

/** What a device adds to the control socket. */
export interface DeviceControl extends ControlRoutes {
  readonly metrics?: readonly Metric[];
}

/** A request that makes no sense, or not now: its status (4xx, 5xx) and a reason of one line. */
export class Refusal extends Error {
  readonly status: number;
  /** What the answer says besides. */
  readonly headers: { readonly [name: string]: string };

  constructor(status: number, reason: string, headers: { readonly [name: string]: string } = {}) {
    super(reason);
    this.name = 'Refusal';
    this.status = status;
    this.headers = headers;
  }
}
