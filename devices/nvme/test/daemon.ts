import { DaemonProcess, fromSource } from '@sidecard/testing';

const main = new URL('../src/main.ts', import.meta.url);

/** A sidecard-nvme as people run it, from its sources; `{folder}` in an argument is the folder that it has to itself, or the one that is given. */
export function startNvme(args: readonly string[], folder?: string): Promise<DaemonProcess> {
  const command = fromSource(main, '--socket', '{socket}', ...args);
  return DaemonProcess.start(command, folder === undefined ? {} : { folder });
}
