import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv } from 'ajv';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { GpioDaemon } from './daemon.ts';

interface Operation {
  readonly operationId: string;
  readonly requestBody?: object;
  readonly responses: {
    readonly [status: string]: { readonly content?: { readonly [type: string]: { readonly schema: object } } };
  };
}
interface Document {
  readonly paths: { readonly [path: string]: { readonly [method: string]: Operation } };
}

/** A body that each operation takes. */
const bodies: { readonly [operationId: string]: object } = {
  patchInputs: { IN0: 1, IN1: 0 },
  postInputsPulse: { inputs: ['IN2'], ms: 1 },
  postInputsWave: { steps: [{ ms: 1, inputs: { IN2: 1 } }] },
};

let daemon: GpioDaemon;
let document: Document;
beforeAll(async () => {
  daemon = await GpioDaemon.start();
  document = (await daemon.control.get('/openapi.json')) as Document;
});
afterAll(async () => {
  await daemon.stop();
  await daemon.remove();
});

test('openapi.json in the folder of the device is what the daemon answers (vitest -u writes it anew)', async () => {
  await expect(`${JSON.stringify(document, null, 2)}\n`).toMatchFileSnapshot('../openapi.json');
});

test('it is OpenAPI 3.1', async () => {
  expect(await new Validator().validate({ ...structuredClone(document) })).toEqual({ valid: true });
});

test('every operation that it describes is there, and answers as it says', async () => {
  const ajv = new Ajv();
  for (const [path, operations] of Object.entries(document.paths)) {
    for (const [method, { operationId, requestBody, responses }] of Object.entries(operations)) {
      const content = responses[200]?.content ?? {};
      if ('text/event-stream' in content) continue;
      const body = bodies[operationId];
      expect([operationId, body !== undefined]).toEqual([operationId, requestBody !== undefined]);
      const answer = await ask(method, path, body);
      expect([operationId, answer.type]).toEqual([operationId, Object.keys(content)[0]]);
      expect([operationId, ajv.validate(Object.values(content)[0]!.schema, answer.data), ajv.errors]).toEqual([
        operationId,
        true,
        null,
      ]);
    }
  }
});

test('a stream sends the events that it describes', async () => {
  const { content } = document.paths['/changes']!.get!.responses[200]!;
  const events = (content!['text/event-stream'] as unknown as { 'x-events': { [event: string]: object } })['x-events'];
  const ajv = new Ajv();
  let count = 0;
  for await (const { event, data } of daemon.control.events('/changes')) {
    expect([event, ajv.validate(events[event]!, data), ajv.errors]).toEqual([event, true, null]);
    if (count++ === 1) break;
    await daemon.control.patch('/inputs', { IN5: 1 });
  }
});

test('methods that it does not describe are refused', async () => {
  for (const [path, operations] of Object.entries(document.paths)) {
    for (const method of ['get', 'put', 'post', 'patch', 'delete'].filter((one) => !(one in operations))) {
      expect([path, method, (await ask(method, path)).status]).toEqual([path, method, 405]);
    }
  }
});

async function ask(method: string, path: string, body?: object) {
  const { request } = await import('node:http');
  const text = body === undefined ? undefined : JSON.stringify(body);
  const headers = text === undefined ? {} : { 'content-type': 'application/json', 'content-length': text.length };
  return new Promise<{ status: number; type: string | undefined; data: unknown }>((resolve, reject) => {
    const sent = request(
      { socketPath: daemon.controlPath, method: method.toUpperCase(), path, headers },
      async (answer) => {
        let got = '';
        for await (const piece of answer) got += piece;
        const type = answer.headers['content-type'];
        resolve({ status: answer.statusCode!, type, data: type === 'application/json' ? JSON.parse(got) : got });
      },
    );
    sent.on('error', reject);
    sent.end(text);
  });
}
