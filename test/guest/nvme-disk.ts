import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Guest, type GuestOptions, startDevice } from '@sidecard/guest';
import type { DaemonProcess } from '@sidecard/testing';

export { complaints, until } from './linux.ts';

export const disk = '/dev/nvme0n1';

export interface NvmeDiskOptions {
  /** Writes the image; a new sparse one is made otherwise. */
  prepare?: (image: string) => Promise<void>;
  /** Of a new image; default 1G. */
  size?: string;
  /** More arguments of the daemon, which may name files in its folder. */
  args?: (folder: string) => readonly string[];
}

/** An NVMe daemon on an image in a folder of its own, and the guests that use it one after the other. */
export class NvmeDisk {
  readonly image: string;
  /** Files of this daemon; gone when it stops. */
  readonly folder: string;
  readonly #args: readonly string[];
  #device: DaemonProcess;

  private constructor(folder: string, image: string, args: readonly string[], device: DaemonProcess) {
    this.folder = folder;
    this.image = image;
    this.#args = args;
    this.#device = device;
  }

  static async start({ prepare, size = '1G', args }: NvmeDiskOptions = {}): Promise<NvmeDisk> {
    const folder = mkdtempSync(join(tmpdir(), 'sidecard-nvme-'));
    const image = join(folder, 'disk.img');
    try {
      await prepare?.(image);
      const drive = prepare ? `file=${image}` : `file=${image},size=${size}`;
      const all = ['--drive', drive, ...(args?.(folder) ?? [])];
      return new NvmeDisk(folder, image, all, await startDaemon(folder, all));
    } catch (error) {
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  get device(): DaemonProcess {
    return this.#device;
  }

  get socket(): string {
    return this.device.socket;
  }

  /** Bytes of the image that take room on the host. */
  get allocatedBytes(): number {
    return statSync(this.image).blocks * 512;
  }

  get mapsGuestMemory(): boolean {
    return this.device.holdings().maps.some((name) => name.includes('memfd:memory-backend-memfd'));
  }

  /** What a test that failed wants to see beside its own error. */
  showLog(): void {
    console.error(`sidecard-nvme logged last:\n${this.device.log.split('\n').slice(-30).join('\n')}`);
  }

  boot(options: GuestOptions = {}): Promise<Guest> {
    return Guest.boot({ devices: [this.socket], ...options });
  }

  /** Another daemon on the same files, once no guest is attached. */
  async restart(): Promise<void> {
    await this.#end();
    this.#device = await startDaemon(this.folder, this.#args);
  }

  /** Ends the daemon, which must have survived everything so far and must end cleanly. */
  async stop(): Promise<void> {
    try {
      await this.#end();
    } finally {
      rmSync(this.folder, { recursive: true, force: true });
    }
  }

  async #end(): Promise<void> {
    const survived = this.device.running;
    const status = await this.device.stop();
    if (!survived || status !== 0) throw new Error(`sidecard-nvme ended with ${status}:\n${this.device.log}`);
  }
}

function startDaemon(folder: string, args: readonly string[]): Promise<DaemonProcess> {
  return startDevice('sidecard-nvme', args, folder);
}

/** Writes random data and answers its sha256; `start` and `count` in MiB. */
export async function writeRandom(guest: Guest, device: string, start: number, count: number): Promise<string> {
  const data = '/tmp/random';
  await guest.check(`head -c ${count}M /dev/urandom >${data} &&
    dd if=${data} of=${device} bs=1M seek=${start} oflag=direct conv=fsync,notrunc status=none`);
  return guest.check(`sha256sum <${data} | cut -d ' ' -f 1; rm ${data}`);
}

/** The sha256 of what is on the medium, past the guest's page cache. */
export function readDigest(guest: Guest, device: string, start: number, count: number): Promise<string> {
  return guest.check(
    `dd if=${device} bs=1M skip=${start} count=${count} iflag=direct status=none | sha256sum | cut -d ' ' -f 1`,
  );
}

/** How many bytes of so many MiB on the medium are not zero. */
export async function nonZeroBytes(guest: Guest, device: string, start: number, count: number): Promise<number> {
  const read = `dd if=${device} bs=1M skip=${start} count=${count} iflag=direct status=none`;
  return Number(await guest.check(`${read} | tr -d '\\0' | wc -c`));
}
