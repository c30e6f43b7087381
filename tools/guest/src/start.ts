/** `npm start`: an NVMe daemon, a guest that uses it as its disk, and a shell in the guest. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { DaemonProcess } from '@sidecard/testing';
import { ProvisionError } from './archive.ts';
import { cacheFolder } from './cache.ts';
import { startDevice } from './device.ts';
import { Guest } from './guest.ts';
import { prepareGuests } from './prepare.ts';
import { selfCheck } from './self-check.ts';

const terminal = process.stdin.isTTY === true && process.stdout.isTTY === true;

let interruptedBy: string | undefined;

async function main(): Promise<boolean> {
  await prepareGuests();
  let device: DaemonProcess | undefined;
  let guest: Guest | undefined;
  try {
    const drive = terminal ? keptDrive() : '{folder}/disk.img';
    device = await startDevice('sidecard-nvme', ['--drive', `file=${drive},size=1G`]);
    if (terminal) explain(drive);
    else console.error('sidecard: booting a guest');
    const options = { devices: [device.socket], interactive: terminal };
    endOnSignal(() => guest, device);
    guest = await Guest.start(options);
    if (terminal) return await shell(guest);
    await guest.ready();
    console.log(`ok     boot: Linux is up after ${(guest.bootMs / 1000).toFixed(1)} s`);
    return await selfCheck(guest);
  } catch (error) {
    if (!interruptedBy && device && device.log !== '') console.error(device.log.trimEnd());
    throw error;
  } finally {
    await guest?.kill();
    await device?.stop();
    await device?.remove();
  }
}

/** The disk of the interactive guest keeps its data from one start to the next. */
function keptDrive(): string {
  const folder = join(cacheFolder(), 'start');
  mkdirSync(folder, { recursive: true });
  return join(folder, 'nvme.img');
}

function explain(drive: string): void {
  console.error(`
A Linux guest boots. Its /dev/nvme0n1 is the sidecard-nvme daemon; the data is in ${drive}
Leave with "exit" or Ctrl-D; if the guest hangs, with Ctrl-A x.
`);
}

async function shell(guest: Guest): Promise<boolean> {
  await guest.exited;
  return true;
}

/** A signal ends the guest; what follows then cleans up. On a terminal Ctrl-C goes to the guest instead. */
function endOnSignal(guest: () => Guest | undefined, device: DaemonProcess): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      interruptedBy = signal;
      void (guest() ?? device).kill();
    });
  }
}

try {
  process.exitCode = (await main()) ? 0 : 1;
} catch (error) {
  if (interruptedBy) console.error(`sidecard: ended by ${interruptedBy}`);
  else console.error(error instanceof ProvisionError ? `sidecard: ${error.message}` : error);
  process.exitCode = 1;
}
