import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Rig } from './rig.ts';

let rig: Rig;
beforeAll(() => {
  rig = Rig.start();
});
afterAll(() => rig.close());

const method = fc.oneof(
  fc.constantFrom('GET', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS', 'TRACE'),
  fc.stringMatching(/^[A-Z]{1,8}$/),
);
const path = fc.oneof(
  fc.constantFrom('/lamps', '/lamps/3', '/lamps/3?how=long', '/openapi.json', '*', '//', '/lamps/../lamps'),
  fc.webPath(),
  fc.string({ maxLength: 40 }),
);
const header = fc.oneof(
  fc.constantFrom(
    'content-type: application/json',
    'content-type: text/plain',
    'transfer-encoding: chunked',
    'content-length: 5',
    'content-length: 99999999999',
    'content-encoding: br',
    'connection: close',
    'connection: upgrade',
    'upgrade: h2c',
    'expect: 100-continue',
    'expect: tea',
  ),
  fc.tuple(fc.string({ maxLength: 20 }), fc.string({ maxLength: 20 })).map((pair) => pair.join(': ')),
);
const json = fc
  .oneof(fc.record({ red: fc.constantFrom(0, 1, 2, '1') }), fc.jsonValue())
  .map((value) => JSON.stringify(value));
const body = fc.oneof(
  json.map((text) => ({
    text,
    headers: ['content-type: application/json', `content-length: ${Buffer.byteLength(text)}`],
  })),
  fc.string({ maxLength: 200 }).map((text) => ({ text, headers: [] as string[] })),
);
const request = fc
  .record({
    method,
    path,
    headers: fc.array(header, { maxLength: 4 }),
    body,
    cut: fc.double({ min: 0, max: 1.5, noNaN: true }),
  })
  .map((parts) => {
    const lines = [`${parts.method} ${parts.path} HTTP/1.1`, ...parts.headers, ...parts.body.headers];
    const text = `${lines.join('\r\n')}\r\n\r\n${parts.body.text}`;
    return text.slice(0, Math.ceil(text.length * Math.min(parts.cut, 1)));
  });

test('whatever is asked gets an answer of HTTP or none, lamps stay lamps, and the next request is answered', async () => {
  await fc.assert(
    fc.asyncProperty(request, async (text) => {
      const answer = await rig.raw(text, { half: true, quietMs: 500 });
      expect(answer).toMatch(/^$|^HTTP\/1\.1 (100|200|204|400|404|405|408|409|413|415|417|431) /);
      for (const [name, level] of Object.entries(rig.lamps))
        expect([name, level]).toEqual([expect.stringMatching(/^(red|green)$/), level & 1]);
      expect((await rig.ask('GET', '/lamps')).status).toBe(200);
    }),
    { numRuns: 300 },
  );
  expect(rig.log.lines.filter(({ level }) => level === 'error')).toEqual([]);
}, 120_000);
