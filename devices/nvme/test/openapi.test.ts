import { request } from 'node:http';
import { join } from 'node:path';
import { Validator } from '@seriousme/openapi-schema-validator';
import { type ControlClient, openControl } from '@sidecard/daemon';
import type { DaemonProcess } from '@sidecard/testing';
import { Ajv } from 'ajv';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startNvme } from './daemon.ts';

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

/** What each operation is asked for, where that is more than of namespace 1. */
const requests: { readonly [operationId: string]: { nsid?: number; body?: object; status?: number } } = {
  postNamespaces: { body: { drive: 'mem:1M', nsid: 5, attached: false } },
  deleteNamespacesNsid: { nsid: 2, status: 204 },
  patchNamespacesNsid: { body: { sizeBytes: 2 << 20 } },
  postNamespacesNsidAttach: { nsid: 5 },
  // Only what cannot be said without a drive that fails.
  postNamespacesNsidClearFailure: { status: 409 },
  patchNamespacesNsidLimits: { body: { iops: 5000, bytesPerSecond: null } },
};

let daemon: DaemonProcess;
let controlPath: string;
let control: ControlClient;
let document: Document;
beforeAll(async () => {
  daemon = await startNvme([
    '--drive',
    'file={folder}/disk.img,size=1M',
    '--drive',
    'mem:1M',
    '--control',
    '{folder}/control.sock',
  ]);
  controlPath = join(daemon.folder, 'control.sock');
  control = await openControl(controlPath);
  document = (await control.get('/openapi.json')) as Document;
});
afterAll(async () => {
  control.close();
  expect(await daemon.stop()).toBe(0);
  await daemon.remove();
});

test('openapi.json in the folder of the device is what the daemon answers (vitest -u writes it anew)', async () => {
  await expect(`${JSON.stringify(document, null, 2)}\n`).toMatchFileSnapshot('../openapi.json');
});

test('it is OpenAPI 3.1', async () => {
  expect(await new Validator().validate({ ...structuredClone(document) })).toEqual({ valid: true });
});

test('every operation that it describes is there, and answers as it says', async () => {
  const ajv = new Ajv({ allowUnionTypes: true, formats: { uuid: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/ } });
  for (const [path, operations] of Object.entries(document.paths)) {
    for (const [method, { operationId, requestBody, responses }] of Object.entries(operations)) {
      const { nsid = 1, body, status = 200 } = requests[operationId] ?? {};
      expect([operationId, body !== undefined]).toEqual([operationId, requestBody !== undefined]);
      const answer = await ask(method, path.replace('{nsid}', `${nsid}`), body);
      expect([operationId, answer.status, answer.data]).toEqual([operationId, status, answer.data]);
      const [[type, { schema }] = ['', { schema: null }]] = Object.entries(responses[status]?.content ?? {});
      if (schema === null) continue;
      expect([operationId, answer.type]).toEqual([operationId, type]);
      const referred = '$ref' in schema ? document.components.schemas.Refusal! : schema;
      expect([operationId, ajv.validate(referred, answer.data), ajv.errors]).toEqual([operationId, true, null]);
    }
  }
});

test('methods that it does not describe are refused', async () => {
  for (const [path, operations] of Object.entries(document.paths)) {
    for (const method of ['get', 'put', 'post', 'patch', 'delete'].filter((one) => !(one in operations))) {
      const { status } = await ask(method, path.replace('{nsid}', '1'));
      expect([path, method, status]).toEqual([path, method, 405]);
    }
  }
});

async function ask(method: string, path: string, body?: object) {
  const text = body === undefined ? undefined : JSON.stringify(body);
  const headers = text === undefined ? {} : { 'content-type': 'application/json', 'content-length': text.length };
  return new Promise<{ status: number; type: string | undefined; data: unknown }>((resolve, reject) => {
    const sent = request({ socketPath: controlPath, method: method.toUpperCase(), path, headers }, async (answer) => {
      let got = '';
      for await (const piece of answer) got += piece;
      const type = answer.headers['content-type'];
      resolve({ status: answer.statusCode!, type, data: type === 'application/json' ? JSON.parse(got) : got });
    });
    sent.on('error', reject);
    sent.end(text);
  });
}
