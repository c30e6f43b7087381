import type { IncomingMessage } from 'node:http';
import { Refusal } from './route.ts';

/** Longest body, bytes. */
export const maxBodyBytes = 64 * 1024;

/** What a request's header says of its body. @throws Refusal 400, 413, 415 */
export function checkBodyHeader(request: IncomingMessage, wantsBody: boolean): void {
  const { headers } = request;
  const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
  if (!wantsBody) {
    if (hasBody) throw new Refusal(400, 'this request has no body');
    return;
  }
  if (!hasBody) throw new Refusal(400, 'a body of JSON is missing');
  if (Number(headers['content-length'] ?? 0) > maxBodyBytes) throw tooLarge();
  const encoding = headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity') throw new Refusal(415, `the body is encoded (${encoding}), and must not be`);
  if (!/^application\/json\s*(;\s*charset\s*=\s*"?utf-8"?\s*)?$/i.test(headers['content-type'] ?? '')) {
    throw new Refusal(415, 'the body must be application/json, in UTF-8');
  }
}

/** Reads and parses. Rejects with Refusal 400, 413; also when the client goes. */
export function readBody(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  return new Promise((resolve, reject) => {
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > maxBodyBytes) {
        request.removeAllListeners('data');
        request.pause();
        reject(tooLarge());
      } else chunks.push(chunk);
    });
    request.on('end', () => {
      try {
        resolve(parse(Buffer.concat(chunks)));
      } catch (error) {
        reject(error);
      }
    });
    const cut = () => reject(new Refusal(400, 'the body is not whole'));
    request.on('error', cut);
    request.on('close', cut);
  });
}

function parse(body: Buffer): unknown {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch {
    throw new Refusal(400, 'the body is not UTF-8');
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Refusal(400, `the body is not JSON: ${(error as Error).message}`);
  }
}

function tooLarge(): Refusal {
  return new Refusal(413, `the body is larger than ${maxBodyBytes} bytes`);
}
