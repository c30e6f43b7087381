import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ControlServer } from '../../src/control/control-server.ts';
import { Rig } from './rig.ts';

let rig: Rig;
beforeEach(() => {
  rig = Rig.start();
});
afterEach(() => rig.close());

describe('what is asked well', () => {
  test('is answered in JSON', async () => {
    const answer = await rig.ask('GET', '/lamps');
    expect([answer.status, answer.headers['content-type'], answer.json]).toEqual([
      200,
      'application/json',
      { red: 0, green: 0 },
    ]);
  });

  test('reaches the device, and answers 204 where there is nothing to say', async () => {
    expect((await rig.ask('PATCH', '/lamps', { red: 1 })).status).toBe(204);
    expect(rig.lamps).toEqual({ red: 1, green: 0 });
  });

  test('has parameters of the path and the query, as what they are', async () => {
    expect((await rig.ask('GET', '/lamps/7?how=long')).json).toEqual({ parameters: { number: 7, how: 'long' } });
  });

  test.each(['0x7', '+7', '7.0', '7e0', '07', '%207', '7%0a'])('has no number %s in its path', async (number) => {
    expect((await rig.ask('GET', `/lamps/${number}`)).status).toBe(400);
  });

  test('may come in pieces, and in chunks', async () => {
    const answer = await rig.ask(
      'PATCH',
      '/lamps',
      { green: 1 },
      { 'transfer-encoding': 'chunked', 'content-length': [] },
    );
    expect([answer.status, rig.lamps.green]).toEqual([204, 1]);
  });

  test('may come one after the other on one connection', async () => {
    const socket = rig.connect();
    for (let i = 0; i < 5; i++) {
      socket.write('GET /lamps HTTP/1.1\r\n\r\n');
      expect(String(await new Promise((resolve) => socket.once('data', resolve)))).toContain('200 OK');
    }
    socket.destroy();
  });

  test('may follow a request that was refused, on the same connection', async () => {
    const socket = rig.connect();
    for (const [request, answer] of [
      ['GET /nothing HTTP/1.1\r\n\r\n', '404 Not Found'],
      ['PATCH /lamps HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}', '400 Bad Request'],
      ['GET /lamps HTTP/1.1\r\n\r\n', '200 OK'],
    ]) {
      socket.write(request!);
      expect(String(await new Promise((resolve) => socket.once('data', resolve)))).toContain(answer);
    }
    socket.destroy();
  });

  test('HEAD answers as GET without the body', async () => {
    const answer = await rig.ask('HEAD', '/lamps');
    expect([answer.status, answer.headers['content-length'], answer.text]).toEqual([200, '20', '']);
  });
});

describe('what makes no sense gets a reason, and the device is as it was', () => {
  test.each<[string, string, unknown, object, number, string]>([
    ['no such path', 'GET /lamp', undefined, {}, 404, 'there is no /lamp'],
    ['a slash too many', 'GET /lamps/', undefined, {}, 400, 'number'],
    ['another method', 'PUT /lamps', { red: 1 }, {}, 405, 'PUT is not for this path, but GET, PATCH'],
    ['a path that is not encoded well', 'GET /lamps/%zz', undefined, {}, 400, 'not well encoded'],
    ['a parameter of another type', 'GET /lamps/red', undefined, {}, 400, 'must be integer'],
    ['a parameter out of range', 'GET /lamps/10', undefined, {}, 400, 'must be <= 9'],
    ['a query that nobody knows', 'GET /lamps?how=long', undefined, {}, 400, 'additional properties: how'],
    ['a query twice', 'GET /lamps/1?how=long&how=long', undefined, {}, 400, 'how 2 times'],
    ['no body', 'PATCH /lamps', undefined, {}, 400, 'missing'],
    ['a body where none belongs', 'GET /lamps', { red: 1 }, {}, 400, 'no body'],
    ['an empty object', 'PATCH /lamps', {}, {}, 400, 'fewer than 1'],
    ['a name that nobody knows', 'PATCH /lamps', { blue: 1 }, {}, 400, 'additional properties: blue'],
    ['a value that nobody knows', 'PATCH /lamps', { red: 2 }, {}, 400, 'allowed values: 0, 1'],
    ['a type that is nearly right', 'PATCH /lamps', { red: '1' }, {}, 400, 'the body/red'],
    ['an array', 'PATCH /lamps', [1], {}, 400, 'must be object'],
    ['null', 'PATCH /lamps', null, {}, 400, 'must be object'],
    ['no JSON', 'PATCH /lamps', Buffer.from('{"red":1'), {}, 400, 'not JSON'],
    ['no UTF-8', 'PATCH /lamps', Buffer.from('{"r\xe9d":1}', 'latin1'), {}, 400, 'not UTF-8'],
    ['UTF-16', 'PATCH /lamps', Buffer.from('{"red":1}', 'utf16le'), {}, 400, 'not JSON'],
    ['a prototype', 'PATCH /lamps', Buffer.from('{"__proto__":{"red":1}}'), {}, 400, '__proto__'],
    ['deep nesting', 'PATCH /lamps', Buffer.from('['.repeat(60_000)), {}, 400, 'not JSON'],
    ['another type of body', 'PATCH /lamps', { red: 1 }, { 'content-type': 'text/plain' }, 415, 'application/json'],
    [
      'a form',
      'PATCH /lamps',
      Buffer.from('red=1'),
      { 'content-type': 'application/x-www-form-urlencoded' },
      415,
      'json',
    ],
    [
      'another charset',
      'PATCH /lamps',
      { red: 1 },
      { 'content-type': 'application/json;charset=latin1' },
      415,
      'UTF-8',
    ],
    ['a compressed body', 'PATCH /lamps', { red: 1 }, { 'content-encoding': 'gzip' }, 415, 'gzip'],
    ['a long body', 'PATCH /lamps', { red: 'x'.repeat(70_000) }, {}, 413, 'larger than 65536 bytes'],
    ['a refusal of the device', 'DELETE /lamps/3', undefined, {}, 409, 'it is lit'],
    ['an expectation', 'GET /lamps', undefined, { expect: 'tea' }, 417, 'expected'],
  ])('%s', async (_, request, body, headers, status, reason) => {
    const [method = '', path = ''] = request.split(' ');
    const answer = await rig.ask(method, path, body, headers);
    expect([answer.status, answer.json]).toEqual([status, { error: expect.stringContaining(reason) }]);
    expect([rig.handled, rig.lamps]).toEqual([0, { red: 0, green: 0 }]);
    expect((await rig.ask('GET', '/lamps')).status).toBe(200);
  });

  test('405 says what is allowed', async () => {
    expect((await rig.ask('DELETE', '/lamps')).headers.allow).toBe('GET, PATCH');
    expect((await rig.ask('POST', '/changes')).headers.allow).toBe('GET');
  });

  test('a long body in chunks, whatever it says of itself', async () => {
    const chunk = `8000\r\n${'x'.repeat(0x8000)}\r\n`;
    const head = 'PATCH /lamps HTTP/1.1\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n';
    expect(await rig.raw(head + chunk.repeat(4))).toMatch(/^HTTP\/1.1 413 .*"error":"the body is larger/s);
    expect(rig.handled).toBe(0);
  });

  test('our own mistake is a 500 that tells nothing, and a line in the log', async () => {
    const answer = await rig.ask('POST', '/broken');
    expect([answer.status, answer.text]).toEqual([500, expect.not.stringContaining('secret')]);
    expect(rig.log.lines).toEqual([expect.objectContaining({ level: 'error' })]);
    expect((await rig.ask('GET', '/lamps')).status).toBe(200);
  });
});

test('two routes of one method and path, and schemas that are wrong, are told when they are made', () => {
  const [lamps] = rig.routes;
  const { log } = rig;
  expect(() => new ControlServer({ routes: [lamps!, lamps!], events: [], log })).toThrow('two routes GET /lamps');
  const wrong = { ...lamps!, body: { type: 'lamp' } };
  expect(() => new ControlServer({ routes: [wrong], events: [], log })).toThrow(
    'type must be JSONType or JSONType[]: lamp',
  );
});
