import { DriveError, type DriveOptions, mostBytes, parseSize } from '@sidecard/block';

/** What `--pool` says. */
export interface PoolOptions {
  /** The folder. */
  readonly path: string;
  /** Room for namespaces, bytes. */
  readonly sizeBytes: number;
  readonly cache: DriveOptions['cache'];
  /** Room is not reserved when a namespace is made, and what the guest discards is given back. */
  readonly sparse: boolean;
}

const caches: readonly DriveOptions['cache'][] = ['writeback', 'writethrough', 'none'];

/** Reads `DIR,size=100G,cache=none,sparse`. A comma in a path is written twice. @throws DriveError, `usage`. */
export function parsePool(text: string): PoolOptions {
  const wrong = (reason: string) => new DriveError('usage', `--pool ${text}: ${reason}`);
  const [path = '', ...parts] = text
    .replaceAll(',,', '\0')
    .split(',')
    .map((part) => part.replaceAll('\0', ','));
  if (path === '') throw wrong('no folder');
  const values = new Map<string, string | null>();
  for (const part of parts) {
    const equals = part.indexOf('=');
    const key = equals < 0 ? part : part.slice(0, equals);
    if (!['size', 'cache', 'sparse'].includes(key))
      throw wrong(`unknown option '${key}' (there are size, cache, sparse)`);
    if (values.has(key)) throw wrong(`${key} is given twice`);
    values.set(key, equals < 0 ? null : part.slice(equals + 1));
  }
  if (values.get('sparse') != null) throw wrong('sparse has no value');
  const size = values.get('size');
  if (size == null) throw wrong('size= is needed: how much room there is for namespaces');
  const sizeBytes = parseSize(size);
  if (sizeBytes === null || sizeBytes === 0) throw wrong(`'${size}' is no size (as 512M, 10G, 1T)`);
  if (sizeBytes > mostBytes) throw wrong(`${size} is more than 8 PiB`);
  const cache = values.has('cache') ? caches.find((choice) => choice === values.get('cache')) : 'writeback';
  if (cache === undefined) throw wrong(`cache= is ${caches.join(' or ')}`);
  return { path, sizeBytes, cache, sparse: values.has('sparse') };
}
