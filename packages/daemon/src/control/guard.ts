import type { IncomingMessage } from 'node:http';

/** Who may ask, where being able to connect is not enough (a UNIX socket's mode is). */
export interface Guard {
  /** Of each answer. */
  readonly headers: { readonly [name: string]: string };
  /** Of all that a request's header says. @throws Refusal 400, 401, 403 */
  admit(request: IncomingMessage, path: string): void;
}
