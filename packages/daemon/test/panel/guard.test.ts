import type { IncomingMessage } from 'node:http';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Refusal } from '../../src/control/route.ts';
import { Share } from '../../src/control/share.ts';
import { sliceMs } from '../../src/control/slices.ts';
import { requestsPerSlice } from '../../src/control/turns.ts';
import { PanelGuard } from '../../src/panel/panel-guard.ts';
import { chosen, fileRoutes } from '../../src/panel/panel-page.ts';
import { PanelToken } from '../../src/panel/panel-token.ts';
import { Rig } from '../control/rig.ts';

const token = new PanelToken(undefined);
const bearer = { authorization: `Bearer ${token.text}` };
const files = fileRoutes(new URL('page/', import.meta.url));
const guard = new PanelGuard(
  token,
  files.map(({ path }) => path),
);

let rig: Rig;
beforeEach(() => {
  rig = Rig.startTcp({ files, guard });
});
afterEach(() => {
  expect(rig.log.lines.filter(({ level }) => level === 'error')).toEqual([]);
  rig.close();
});

const protections = {
  'content-security-policy': expect.stringMatching(/^default-src 'none'; script-src 'self'; .*frame-ancestors 'none'/),
  'x-content-type-options': 'nosniff',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
};

describe('the page', () => {
  test.each([
    ['/', 'text/html; charset=utf-8', '<title>Lamps</title>'],
    ['/page.js', 'text/javascript; charset=utf-8', "'Lit'"],
  ])('%s is for everybody, with what keeps other pages away', async (path, type, text) => {
    const { status, headers, text: got } = await rig.ask('GET', path);
    expect([status, headers, got]).toEqual([
      200,
      expect.objectContaining({ ...protections, 'content-type': type }),
      expect.stringContaining(text),
    ]);
    expect((await rig.ask('HEAD', path)).status).toBe(200);
  });

  test.each(['/index.html', '/page', '/../panel/page.js', '/..%2fguard.test.ts', '/page.js/', '/%00'])(
    'has no %s',
    async (path) => {
      expect((await rig.ask('GET', path, undefined, bearer)).status).toBe(404);
    },
  );

  test('is read, and nothing else', async () => {
    expect((await rig.ask('PUT', '/', undefined, bearer)).status).toBe(405);
    expect((await rig.ask('GET', '/?x=1')).status).toBe(400);
  });
});

describe('with the token', () => {
  test.each([
    ['a tool', {}],
    ['the page', () => ({ origin: `http://127.0.0.1:${rig.port}`, 'sec-fetch-site': 'same-origin' })],
    ['the page by its other name', () => ({ host: 'localhost:9', origin: 'http://localhost:9' })],
    ['the page by IPv6', () => ({ host: '[::1]:9', origin: 'http://[::1]:9' })],
    ['the page on port 80', () => ({ host: '192.0.2.7', origin: 'http://192.0.2.7' })],
  ])('%s reads and changes', async (_, headers) => {
    const all = { ...bearer, ...(typeof headers === 'function' ? headers() : headers) };
    expect(await rig.ask('GET', '/lamps', undefined, all)).toMatchObject({ status: 200, json: { red: 0 } });
    expect((await rig.ask('PATCH', '/lamps', { red: 1 }, all)).status).toBe(204);
    expect(rig.lamps.red).toBe(1);
  });

  test('a stream comes, and is protected too', async () => {
    const head = `GET /changes HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${token.text}\r\n\r\n`;
    const got = await rig.raw(head, { quietMs: 200 });
    expect(got).toMatch(/^HTTP\/1.1 200 .*nosniff.*text\/event-stream.*event: state/s);
  });
});

describe('is refused, with a reason, and the device is as it was:', () => {
  const other = 'http://evil.example';
  test.each<[string, object | (() => object), number, string]>([
    ['no token', { authorization: [] }, 401, 'the token is missing'],
    ['another token', { authorization: `Bearer ${'x'.repeat(24)}` }, 401, 'the token is wrong'],
    ['a longer token', { authorization: `Bearer ${token.text}x` }, 401, 'the token is wrong'],
    ['an empty token', { authorization: 'Bearer ' }, 401, 'the token is missing'],
    ['a password', { authorization: `Basic ${btoa(`x:${token.text}`)}` }, 401, 'the token is missing'],
    ['a name that leads here (DNS rebinding)', { host: 'evil.example' }, 403, 'the Host is a name'],
    ['the same, with the origin to it', { host: 'evil.example', origin: other }, 403, 'the Host is a name'],
    ['a name that looks like an address', { host: '127.0.0.1.evil.example' }, 403, 'the Host is a name'],
    ['a name behind an address', { host: '127.0.0.1@evil.example' }, 403, 'the Host is a name'],
    ['an address of another form', { host: '2130706433' }, 403, 'the Host is a name'],
    ['another page', { origin: other }, 403, 'another page'],
    ['a page without an origin', { origin: 'null' }, 403, 'another page'],
    ['a page of another port', () => ({ origin: `http://127.0.0.1:${rig.port + 1}` }), 403, 'another page'],
    ['a page of the secure port', () => ({ origin: `https://127.0.0.1:${rig.port}` }), 403, 'another page'],
    ['another site', { 'sec-fetch-site': 'cross-site' }, 403, 'another page'],
    ['another port of this machine', { 'sec-fetch-site': 'same-site' }, 403, 'another page'],
    ['an address typed by hand', { 'sec-fetch-site': 'none' }, 403, 'another page'],
    ['a form', { 'content-type': 'application/x-www-form-urlencoded' }, 415, 'application/json'],
    ['what needs no leave of a browser', { 'content-type': 'text/plain' }, 415, 'application/json'],
  ])('%s', async (_, headers, status, reason) => {
    const given = typeof headers === 'function' ? headers() : headers;
    const answer = await rig.ask('PATCH', '/lamps', { red: 1 }, { ...bearer, ...given });
    expect([answer.status, answer.json]).toEqual([status, { error: expect.stringContaining(reason) }]);
    expect(answer.headers['x-content-type-options']).toBe('nosniff');
    if (status === 401) expect(answer.headers['www-authenticate']).toBe('Bearer');
    expect(Object.keys(answer.headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
    if (status !== 415) {
      expect((await rig.ask('GET', '/changes', undefined, { ...bearer, ...given })).status).toBe(status);
    }
    expect([rig.handled, rig.lamps, rig.senders.size]).toEqual([0, { red: 0, green: 0 }, 0]);
  });

  test.each(['', 'host:\r\n', 'host: :80\r\n'])('no Host at all: %j', async (host) => {
    const got = await rig.raw(
      `GET /lamps HTTP/1.1\r\n${host}authorization: Bearer ${token.text}\r\nconnection: close\r\n\r\n`,
    );
    expect(got).toMatch(/^HTTP\/1.1 403 /);
  });

  test('a browser that asks whether another page may (CORS)', async () => {
    const asks = { origin: other, 'access-control-request-method': 'PATCH' };
    const answer = await rig.ask('OPTIONS', '/lamps', undefined, asks);
    expect([answer.status, answer.headers['access-control-allow-origin']]).toEqual([403, undefined]);
  });

  test.each(['/lamps?token=TOKEN', '/TOKEN/lamps'])('the token in another place: %s', async (path) => {
    expect((await rig.ask('GET', path.replace('TOKEN', token.text))).status).toBe(401);
  });

  test('what there is not, to a stranger as what there is', async () => {
    expect((await rig.ask('GET', '/metrics')).status).toBe(401);
    const { status, json } = await rig.ask('GET', '/metrics', undefined, bearer);
    expect([status, json]).toEqual([404, { error: 'there is no /metrics' }]);
  });

  test('a file of the page to a name that leads here', async () => {
    expect((await rig.ask('GET', '/', undefined, { host: 'evil.example' })).status).toBe(403);
  });
});

test('whatever the headers are, nobody is let in without the token, nor by a name; and nothing else is thrown', () => {
  const text = fc.oneof(
    fc.string(),
    fc.constantFrom('localhost', '127.0.0.1:80', '[::1]:80', 'http://localhost', 'null'),
  );
  const some = fc.option(text, { nil: undefined });
  const headers = fc.record({ host: some, origin: some, 'sec-fetch-site': some, authorization: some });
  fc.assert(
    fc.property(headers, fc.boolean(), (given, knows) => {
      const all = knows ? { ...given, ...bearer } : given;
      const named = !/^(localhost|[\d.]+|\[[\da-f:.]+\])(:\d+)?$/i.test(given.host ?? '');
      const elsewhere =
        given.origin !== undefined && given.origin.toLowerCase() !== `http://${given.host}`.toLowerCase();
      try {
        guard.admit({ headers: all } as IncomingMessage, '/lamps');
      } catch (error) {
        expect(error).toBeInstanceOf(Refusal);
        return;
      }
      expect([knows, named, elsewhere]).toEqual([true, false, false]);
    }),
    { numRuns: 2000 },
  );
});

test('two servers of a device have one share of its thread, whoever floods one of them', async () => {
  const share = new Share();
  const [socket, panel] = [Rig.start({ share }), Rig.startTcp({ share, files, guard })];
  const began = performance.now();
  const asks = Array.from({ length: 300 }, () => [socket.ask('GET', '/lamps'), panel.ask('GET', '/lamps')]).flat();
  const statuses = (await Promise.all(asks)).map(({ status }) => status);
  // Connections beyond the limit of each are told so, and these are not turns.
  const handled = statuses.filter((status) => status !== 503).length;
  expect(handled).toBeGreaterThan(150);
  expect(performance.now() - began).toBeGreaterThan(((handled / requestsPerSlice) * sliceMs) / 2);
  for (const one of [socket, panel]) one.close();
});

test('a page of which a route is not there is our mistake, told at once; so is a file of another kind', () => {
  const { routes, events } = rig;
  expect(chosen(['GET /lamps', 'GET /changes'], { routes, events })).toMatchObject({
    routes: [{ path: '/lamps' }],
    events: [{ path: '/changes' }],
  });
  expect(() => chosen(['GET /lamps', 'PUT /lamps'], { routes, events })).toThrow('PUT /lamps');
  expect(() => fileRoutes(new URL('.', import.meta.url))).toThrow('is no file of a page');
});
