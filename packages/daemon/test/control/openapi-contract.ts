import { request } from 'node:http';
import { Validator } from '@seriousme/openapi-schema-validator';
import type { ControlClient } from '@sidecard/daemon';
import { Ajv } from 'ajv';
import { afterAll, beforeAll, expect, test } from 'vitest';

interface Operation {
  readonly operationId: string;
  readonly requestBody?: object;
  readonly responses: {
    readonly [status: string]: { readonly content?: { readonly [type: string]: { readonly schema: object } } };
  };
}
interface Document {
  readonly components: { readonly schemas: { readonly [name: string]: object } };
  readonly paths: { readonly [path: string]: { readonly [method: string]: Operation } };
}

/** How an operation is asked for. */
export interface ContractRequest {
  /** What is in the path, by its name; 1 unless given. */
  readonly parameters?: { readonly [name: string]: number };
  readonly body?: object;
  /** What it answers; 200 unless given. */
  readonly status?: number;
}

export interface Contract {
  /** A daemon with a control socket. */
  start(): Promise<{
    readonly control: ControlClient;
    readonly controlPath: string;
    end(): Promise<void>;
  }>;
  /** The URL of the device's openapi.json. */
  readonly file: URL;
  /** Those of operations that want more than to be asked for. */
  readonly requests: { readonly [operationId: string]: ContractRequest };
  /** Has the stream of a path make another event. */
  readonly streams?: { readonly [path: string]: (control: ControlClient) => Promise<unknown> };
}

const formats = { uuid: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/ };

/** Tests of a device that it has the control socket that its openapi.json describes, and describes all that it has. */
export function testOpenApi({ start, file, requests, streams = {} }: Contract): void {
  let daemon: Awaited<ReturnType<Contract['start']>>;
  let document: Document;
  beforeAll(async () => {
    daemon = await start();
    document = (await daemon.control.get('/openapi.json')) as Document;
  });
  afterAll(() => daemon.end());

  const contentOf = ({ responses }: Operation, status: number) => Object.entries(responses[status]?.content ?? {})[0];
  const isStream = (operation: Operation) => contentOf(operation, 200)?.[0] === 'text/event-stream';
  const expectValid = (schema: object, data: unknown, what: string) => {
    const ajv = new Ajv({ allowUnionTypes: true, formats });
    const referred = '$ref' in schema ? document.components.schemas.Refusal! : schema;
    expect([what, ajv.validate(referred, data), ajv.errors]).toEqual([what, true, null]);
  };

  test('openapi.json in the folder of the device is what the daemon answers (vitest -u writes it anew)', async () => {
    await expect(`${JSON.stringify(document, null, 2)}\n`).toMatchFileSnapshot(file.pathname);
  });

  test('it is OpenAPI 3.1', async () => {
    expect(await new Validator().validate({ ...structuredClone(document) })).toEqual({ valid: true });
  });

  test('every operation that it describes is there, and answers as it says', async () => {
    for (const [path, operations] of Object.entries(document.paths)) {
      for (const [method, operation] of Object.entries(operations)) {
        if (isStream(operation)) continue;
        const { operationId, requestBody } = operation;
        const { parameters = {}, body, status = 200 } = requests[operationId] ?? {};
        expect([operationId, body !== undefined]).toEqual([operationId, requestBody !== undefined]);
        const answer = await ask(daemon.controlPath, method, filled(path, parameters), body);
        expect([operationId, answer.status, answer.data]).toEqual([operationId, status, answer.data]);
        const described = contentOf(operation, status);
        if (described === undefined) continue;
        expect([operationId, answer.type]).toEqual([operationId, described[0]]);
        expectValid(described[1].schema, answer.data, operationId);
      }
    }
  });

  test('a stream sends the events that it describes', async () => {
    const described = Object.entries(document.paths).filter(([, { get }]) => get !== undefined && isStream(get));
    expect(described.map(([path]) => path)).toEqual(Object.keys(streams));
    for (const [path, { get }] of described) {
      const { 'x-events': events } = contentOf(get!, 200)![1] as unknown as { 'x-events': { [event: string]: object } };
      let count = 0;
      for await (const { event, data } of daemon.control.events(path)) {
        expectValid(events[event]!, data, event);
        if (count++ === 1) break;
        await streams[path]!(daemon.control);
      }
    }
  });

  test('methods that it does not describe are refused', async () => {
    for (const [path, operations] of Object.entries(document.paths)) {
      for (const method of ['get', 'put', 'post', 'patch', 'delete'].filter((one) => !(one in operations))) {
        const { status } = await ask(daemon.controlPath, method, filled(path, {}));
        expect([path, method, status]).toEqual([path, method, 405]);
      }
    }
  });
}

function filled(path: string, parameters: { readonly [name: string]: number }): string {
  return path.replace(/\{(\w+)\}/g, (_, name) => String(parameters[name] ?? 1));
}

function ask(socketPath: string, method: string, path: string, body?: object) {
  const text = body === undefined ? undefined : JSON.stringify(body);
  const headers = text === undefined ? {} : { 'content-type': 'application/json', 'content-length': text.length };
  return new Promise<{ status: number; type: string | undefined; data: unknown }>((resolve, reject) => {
    const sent = request({ socketPath, method: method.toUpperCase(), path, headers }, async (answer) => {
      let got = '';
      for await (const piece of answer) got += piece;
      const type = answer.headers['content-type'];
      resolve({ status: answer.statusCode!, type, data: type === 'application/json' ? JSON.parse(got) : got });
    });
    sent.on('error', reject);
    sent.end(text);
  });
}
