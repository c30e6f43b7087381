import { Agent } from 'node:http';
import { setTimeout } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { acceptsPerSlice } from '../../src/control/acceptor.ts';
import { maxConnections, requestMs } from '../../src/control/connections.ts';
import { sliceMs } from '../../src/control/slices.ts';
import { requestsPerSlice } from '../../src/control/turns.ts';
import { Rig } from './rig.ts';

let rig: Rig;
beforeEach(() => {
  rig = Rig.start();
});
afterEach(async () => {
  vi.useRealTimers();
  // Whatever was done to it, it answers.
  expect((await rig.ask('GET', '/lamps')).status).toBe(200);
  expect(rig.log.lines.filter(({ level }) => level === 'error')).toEqual([]);
  rig.close();
});

test.each<[string, string | Buffer, RegExp]>([
  ['no HTTP', 'hello\r\n\r\n', /^HTTP\/1.1 400 .*this is no HTTP/s],
  ['bytes of any kind', Buffer.from([0x16, 3, 1, 0, 200, 1, 0]), /^HTTP\/1.1 400 /],
  ['an endless header', `GET / HTTP/1.1\r\nx: ${'y'.repeat(100_000)}`, /^HTTP\/1.1 431 .*too long/s],
  ['endless headers', `GET / HTTP/1.1\r\n${'a: b\r\n'.repeat(20_000)}`, /^HTTP\/1.1 431 /],
  ['an endless target', `GET /${'x'.repeat(100_000)}`, /^HTTP\/1.1 431 /],
  [
    'a target that is no path',
    'GET http://x/lamps HTTP/1.1\r\nconnection: close\r\n\r\n',
    /^HTTP\/1.1 400 .*begins with/s,
  ],
  ['a proxy', 'CONNECT x:80 HTTP/1.1\r\n\r\n', /^HTTP\/1.1 405 /],
  ['a method of its own', 'BREW /lamps HTTP/1.1\r\n\r\n', /^HTTP\/1.1 400 /],
  ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', /^HTTP\/1.1 400 /],
  ['a length that is none', 'PATCH /lamps HTTP/1.1\r\ncontent-length: -1\r\n\r\n', /^HTTP\/1.1 400 /],
  ['two lengths', 'PATCH /lamps HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}', /^HTTP\/1.1 400 /],
  [
    'a length and chunks (smuggling)',
    'PATCH /lamps HTTP/1.1\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
    /^HTTP\/1.1 400 /,
  ],
  [
    'chunks that are none',
    'PATCH /lamps HTTP/1.1\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n',
    /^HTTP\/1.1 400 /,
  ],
])('%s', async (_, bytes, answer) => {
  expect(await rig.raw(bytes)).toMatch(answer);
  expect(rig.handled).toBe(0);
});

test.each([
  ['in the header', 'GET /lamps HTTP/1.1\r\nhost'],
  ['in the body', 'PATCH /lamps HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{"red"'],
])('half a request, which ends %s', async (_, bytes) => {
  await rig.raw(bytes, { half: true });
  expect([rig.handled, rig.lamps.red]).toEqual([0, 0]);
});

test('half a request that never ends is given up after a while, with a reason; a connection that asks nothing, without', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const half = rig.raw('PATCH /lamps HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{', {
    quietMs: 1e6,
  });
  const idle = rig.raw('', { quietMs: 1e6 });
  await vi.waitFor(async () => {
    vi.advanceTimersByTime(requestMs);
    expect(await Promise.race([half, 'nothing'])).toMatch(/^HTTP\/1.1 408 /);
  });
  expect(await idle).toBe('');
});

test('requests that do not wait for answers: the connection is closed, and hardly any was done', async () => {
  const got = await rig.raw('GET /lamps HTTP/1.1\r\n\r\n'.repeat(2000));
  expect(got.match(/200 OK/g)?.length ?? 0).toBeLessThanOrEqual(1);
  expect(rig.handled).toBeLessThanOrEqual(1);
});

test('hundreds of connections: those beyond the limit are told so, the others go on, and all is free again after', async () => {
  const sockets = [];
  const refused: string[] = [];
  for (let i = 0; i < 300; i++) {
    const socket = rig.connect();
    socket.on('data', (data) => refused.push(String(data)));
    sockets.push(socket);
  }
  await vi.waitFor(() => expect(refused.length).toBe(300 - maxConnections), 5000);
  expect(refused[0]).toMatch(/^HTTP\/1.1 503 .*too many connections/s);
  for (const socket of sockets) socket.destroy();
  await vi.waitFor(async () => expect((await rig.ask('GET', '/lamps')).status).toBe(200));
});

test('a thousand requests: each turn of the event loop handles one, so many in a slice of time, and all are answered', async () => {
  let turns = 0;
  let counting = true;
  const count = () => {
    turns++;
    if (counting) setImmediate(count);
  };
  count();
  const began = performance.now();
  for (let round = 0; round < 20; round++) {
    const answers = await Promise.all(Array.from({ length: 50 }, () => rig.ask('GET', '/lamps')));
    expect(answers.every(({ status }) => status === 200)).toBe(true);
  }
  counting = false;
  expect(turns).toBeGreaterThanOrEqual(1000);
  expect(performance.now() - began).toBeGreaterThan(((1000 / requestsPerSlice) * sliceMs) / 2);
});

test.each([
  ['of what there is not', { path: '/nothing', headers: {}, status: 404 }],
  ['with expectations', { path: '/lamps', headers: { expect: 'tea' }, status: 417 }],
])('hundreds of requests %s take no more turns than others', async (_, { path, headers, status }) => {
  const agent = new Agent({ keepAlive: true, maxSockets: 20 });
  const began = performance.now();
  for (let round = 0; round < 20; round++) {
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => rig.ask('GET', path, undefined, headers, agent)),
    );
    expect(answers.every((answer) => answer.status === status)).toBe(true);
  }
  expect(performance.now() - began).toBeGreaterThan(((400 / requestsPerSlice) * sliceMs) / 2);
  expect(rig.server.accepted).toBeLessThan(50);
  agent.destroy();
});

test('a client that comes and goes for ever: so many connections in a slice, and when it has gone all is well', async () => {
  let going = true;
  let connections = 0;
  const began = performance.now();
  const flood = async () => {
    while (going) {
      const socket = rig.connect();
      await new Promise((resolve) => socket.on('connect', resolve).on('error', resolve));
      socket.destroy();
      connections++;
      await new Promise(setImmediate);
    }
  };
  const flooding = Promise.all([flood(), flood(), flood()]);
  await setTimeout(300);
  await vi.waitFor(() => expect(connections).toBeGreaterThan(20), 5000);
  going = false;
  await flooding;
  expect(rig.server.accepted).toBeLessThanOrEqual(((performance.now() - began) / sliceMs + 1) * acceptsPerSlice);
  await vi.waitFor(async () => expect((await rig.ask('GET', '/lamps')).status).toBe(200), 5000);
});

test('a client that goes while its request is worked on', async () => {
  const socket = rig.connect();
  socket.write('POST /slow HTTP/1.1\r\n\r\n');
  await vi.waitFor(() => expect(rig.handled).toBe(1));
  socket.destroy();
  await setTimeout(20);
  rig.release();
});
