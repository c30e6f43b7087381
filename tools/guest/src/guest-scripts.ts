import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const folder = resolve(import.meta.dirname, '../root');
const names = ['initramfs-init', 'guest-init', 'guest-agent'] as const;

/** The shell scripts that run in the guest, as text. */
export const guestScripts: readonly string[] = names.map((name) => readFileSync(join(folder, name), 'utf8'));

export function installScript(name: (typeof names)[number], path: string): void {
  writeFileSync(path, readFileSync(join(folder, name)));
  chmodSync(path, 0o755);
}
