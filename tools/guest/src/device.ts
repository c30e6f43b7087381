import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { DaemonProcess } from '@sidecard/testing';

/**
 * Starts `sidecard-nvme --socket PATH ...` and the like, as people do once the repository is built. In a folder of its own unless one is given, which stays.
 * @throws Error with the daemon's log
 */
export function startDevice(name: string, args: readonly string[], folder?: string): Promise<DaemonProcess> {
  const program = resolve(import.meta.dirname, '../../../node_modules/.bin', name);
  if (!existsSync(program)) throw new Error(`${name} is not built: npm run build`);
  return DaemonProcess.start([program, '--socket', '{socket}', ...args], folder === undefined ? {} : { folder });
}
