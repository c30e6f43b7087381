import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import type { Guard } from '../control/guard.ts';
import { Refusal } from '../control/route.ts';
import type { PanelToken } from './panel-token.ts';

/**
 * Lets in the panel's own page and who has the token, and no other page that the same browser shows. The token alone would do it, which another page cannot
 * know and cannot send unasked; Host and origin are looked at besides, so that it does not come to that.
 */
export class PanelGuard implements Guard {
  readonly headers = {
    'content-security-policy':
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'cross-origin-resource-policy': 'same-origin',
    'cross-origin-opener-policy': 'same-origin',
  };
  readonly #token: PanelToken;
  readonly #files: ReadonlySet<string>;

  /** @param files the paths of the page itself, which tell nothing: anybody may have them. */
  constructor(token: PanelToken, files: readonly string[]) {
    this.#token = token;
    this.#files = new Set(files);
  }

  admit({ headers }: IncomingMessage, path: string): void {
    checkHost(headers.host);
    if (this.#files.has(path)) return;
    const site = headers['sec-fetch-site'] ?? 'same-origin';
    const origin = headers.origin ?? `http://${headers.host}`;
    if (site !== 'same-origin' || origin.toLowerCase() !== `http://${headers.host}`.toLowerCase()) {
      throw new Refusal(403, 'another page has no business here');
    }
    const [, token] = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '') ?? [];
    if (token === undefined || !this.#token.matches(token)) {
      const reason = token === undefined ? 'the token is missing' : 'the token is wrong';
      throw new Refusal(401, `${reason}: it is in the address that the daemon's log names`, {
        'www-authenticate': 'Bearer',
      });
    }
  }
}

/** A name could be anybody's, who has it lead here once the browser has his page (DNS rebinding); figures cannot. @throws Refusal */
function checkHost(host: string | undefined): void {
  const [, brackets, plain] = /^(?:\[([^\]]*)\]|([^:]*))(?::\d+)?$/.exec(host ?? '') ?? [];
  const known =
    brackets === undefined ? plain?.toLowerCase() === 'localhost' || isIP(plain ?? '') === 4 : isIP(brackets) === 6;
  if (!known) throw new Refusal(403, 'the Host is a name: the panel answers to localhost and to addresses in figures');
}
