import { createHash } from 'node:crypto';

/** Names cached content by what it is made of. */
export function digest(...parts: string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 16);
}
