import type { NamespaceIdentity } from '../identity.ts';
import { type Notes, wrongNote } from './drive-notes.ts';

/**
 * One namespace of a pool. `creating` and `deleting` are intents: a start that finds one removes the file and forgets the namespace, since the guest
 * was never told of the first, and has asked for the second.
 */
export interface PoolEntry {
  readonly nsid: number;
  readonly state: 'creating' | 'ready' | 'deleting';
  /** Name in the folder. */
  readonly file: string;
  readonly sizeBytes: number;
  readonly attached: boolean;
  readonly identity: NamespaceIdentity;
  readonly notes: Notes;
}

/** Names of files that are namespaces. */
export const namespaceFile = /^namespace-[0-9a-f-]{36}\.img$/;

const version = 1;
/** No pool has more: what is larger in a table is a mistake. */
const mostNamespaces = 4096;

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

/** As JSON that a person can read. */
export function formatTable(entries: readonly PoolEntry[]): string {
  const namespaces = entries.map(({ identity, ...entry }) => ({
    ...entry,
    nguid: hex(identity.nguid),
    eui64: hex(identity.eui64),
    uuid: hex(identity.uuid),
  }));
  return `${JSON.stringify({ version, namespaces }, null, 2)}\n`;
}

/** @throws Error, one line, which says what of it cannot be. */
export function parseTable(text: string, path: string): PoolEntry[] {
  let found: { version?: unknown; namespaces?: unknown };
  try {
    found = Object(JSON.parse(text));
  } catch {
    throw new Error(`${path}: is no JSON`);
  }
  if (found.version !== version) throw new Error(`${path}: is not of version ${version}`);
  if (!Array.isArray(found.namespaces)) throw new Error(`${path}: has no namespaces`);
  const entries = found.namespaces.map((one: unknown, index) => {
    const entry = parseEntry(Object(one));
    if (typeof entry === 'string') throw new Error(`${path}: ${entry} of entry ${index} is not what it can be`);
    return entry;
  });
  const nsids = entries.filter(({ state }) => state === 'ready').map(({ nsid }) => nsid);
  if (new Set(nsids).size !== nsids.length) throw new Error(`${path}: has a namespace twice`);
  return entries;
}

/** The entry, or the name of what is wrong with it. */
function parseEntry(one: { readonly [key: string]: unknown }): PoolEntry | string {
  const { nsid, state, file, sizeBytes, attached } = one;
  const whole = (value: unknown, most: number): value is number =>
    Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= most;
  if (!whole(nsid, mostNamespaces)) return 'nsid';
  if (state !== 'creating' && state !== 'ready' && state !== 'deleting') return 'state';
  if (typeof file !== 'string' || !namespaceFile.test(file)) return 'file';
  if (!whole(sizeBytes, Number.MAX_SAFE_INTEGER)) return 'sizeBytes';
  if (typeof attached !== 'boolean') return 'attached';
  const [nguid, eui64, uuid] = [bytesOf(one.nguid, 16), bytesOf(one.eui64, 8), bytesOf(one.uuid, 16)];
  if (nguid === null || eui64 === null || uuid === null) return 'nguid, eui64 or uuid';
  const notes: Notes = Object(one.notes);
  const wrong = wrongNote(notes);
  if (wrong !== null) return wrong;
  return { nsid, state, file, sizeBytes, attached, identity: { nguid, eui64, uuid }, notes };
}

function bytesOf(value: unknown, lengthBytes: number): Uint8Array | null {
  if (typeof value !== 'string' || !/^[0-9a-f]*$/.test(value) || value.length !== 2 * lengthBytes) return null;
  return new Uint8Array(Buffer.from(value, 'hex'));
}
