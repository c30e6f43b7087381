import { type ServerResponse, STATUS_CODES } from 'node:http';
import { Refusal } from './route.ts';

/** Answers a request with a reason in JSON. The connection ends where the rest of the request was not read. */
export function refuse(response: ServerResponse, refusal: Refusal): void {
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  const body = bodyOf(refusal.message);
  response.writeHead(refusal.status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    ...refusal.headers,
    ...(!response.req.complete && { connection: 'close' }),
  });
  response.end(body);
}

/** The same for a connection whose bytes made no request. */
export function refusalText(status: number, reason: string): string {
  const body = bodyOf(reason);
  const headers = `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close`;
  return `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${headers}\r\n\r\n${body}`;
}

/** Why the parser gave up. */
export function parserRefusal(error: NodeJS.ErrnoException): Refusal {
  if (error.code === 'HPE_HEADER_OVERFLOW') return new Refusal(431, 'the header is too long');
  if (error.code === 'HPE_CHUNK_EXTENSIONS_OVERFLOW') return new Refusal(413, 'the chunk extensions are too long');
  if (error.code === 'HPE_INVALID_EOF_STATE') return new Refusal(400, 'the request is not whole');
  return new Refusal(400, `this is no HTTP: ${(error as { reason?: string }).reason ?? error.message}`);
}

function bodyOf(reason: string): string {
  return `${JSON.stringify({ error: reason })}\n`;
}
