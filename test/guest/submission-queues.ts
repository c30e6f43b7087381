import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Guest } from '@sidecard/guest';

/** A command as the guest's driver has left it in a queue. */
export interface QueuedCommand {
  opcode: number;
  /** True where its data is described by an SGL: PSDT, bits 7:6 of byte 1 (NVMe Base 2.0, figure 86). */
  sgl: boolean;
}

interface Place {
  address: number;
  sizeBytes: number;
}

const entryBytes = 64;
const createSubmissionQueue = 0x01;

/**
 * The I/O submission queues of the guest's driver, found by the commands that created them: ask soon after a boot or a
 * reset, before the admin queue has gone round. Needs the kernel to let show-regs map the registers: iomem=relaxed.
 */
export async function submissionQueues(guest: Guest, folder: string): Promise<Place[]> {
  const { asq, aqa } = JSON.parse(await guest.check('nvme show-regs /dev/nvme0 -o json'));
  const admin = await guestMemory(guest, folder, { address: asq, sizeBytes: ((aqa & 0xfff) + 1) * entryBytes });
  const found = new Map<number, Place>();
  for (let at = 0; at < admin.length; at += entryBytes) {
    if (admin[at] !== createSubmissionQueue || admin.readUInt16LE(at + 40) === 0) continue;
    const sizeBytes = (admin.readUInt16LE(at + 42) + 1) * entryBytes;
    found.set(admin.readUInt16LE(at + 40), { address: Number(admin.readBigUInt64LE(at + 24)), sizeBytes });
  }
  return [...found.values()];
}

/** The commands that lie in the queues: those of the last time round. */
export async function queuedCommands(guest: Guest, folder: string, queues: Place[]): Promise<QueuedCommand[]> {
  const commands: QueuedCommand[] = [];
  for (const queue of queues) {
    const memory = await guestMemory(guest, folder, queue);
    for (let at = 0; at < memory.length; at += entryBytes) {
      // An entry that was never used is zeroes, and none of a namespace.
      if (memory.readUInt32LE(at + 4) === 0) continue;
      commands.push({ opcode: memory.readUInt8(at), sgl: memory.readUInt8(at + 1) >>> 6 === 1 });
    }
  }
  return commands;
}

async function guestMemory(guest: Guest, folder: string, { address, sizeBytes }: Place): Promise<Buffer> {
  const filename = join(folder, 'memory');
  await guest.qmp('pmemsave', { val: address, size: sizeBytes, filename });
  return readFileSync(filename);
}
