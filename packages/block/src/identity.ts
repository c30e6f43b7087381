import { createHash } from 'node:crypto';
import { readFileSync, realpathSync } from 'node:fs';
import { hostname } from 'node:os';
import type { DriveHost, DriveOptions } from './drive.ts';

/** Drives without a path so far, by what they are called: the order of the command line, so the same after a restart. */
const unnamed = new Map<string, number>();

/**
 * The seed of all that names a drive (storage.md, Identity): 32 bytes of its serial, or else of the machine and the canonical
 * path. Call it once per drive, when the file is there.
 */
export function identitySeed(options: Pick<DriveOptions, 'kind' | 'path' | 'serial'>, host: DriveHost): Uint8Array {
  if (options.serial !== null) return digest('serial', options.serial);
  const machine = host.machineId ?? machineId();
  if (options.kind === 'file') return digest('path', machine, realpathSync(options.path));
  const name = `${options.kind} ${host.instance ?? ''}`;
  const number = unnamed.get(name) ?? 0;
  unnamed.set(name, number + 1);
  return digest('unnamed', machine, name, `${number}`);
}

function digest(...parts: string[]): Uint8Array {
  return createHash('sha256')
    .update(['sidecard drive', ...parts].join('\0'))
    .digest();
}

function machineId(): string {
  for (const path of ['/etc/machine-id', '/var/lib/dbus/machine-id']) {
    try {
      const id = readFileSync(path, 'utf8').trim();
      if (id !== '') return id;
    } catch {
      // Containers often have none.
    }
  }
  return hostname();
}
