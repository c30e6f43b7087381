import { createHash } from 'node:crypto';
import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writePartition } from './boot-disk.ts';
import { cached } from './cache.ts';
import { succeed } from './child.ts';
import { digest } from './digest.ts';
import { type Firmware, provisionFirmware } from './firmware.ts';
import { provision, run } from './provision.ts';

const sectorBytes = 512;
/** In sectors. */
const partitionStart = 2048;
const partitionBytes = 63 * 2 ** 20;
/** MBR type of an EFI system partition. */
const efiSystem = 0xef;

/** A file of one line, for firmware to print. */
export const greeting = 'sidecard: this line is a file on the NVMe disk';

/** The size of another file, larger than any transfer of the controller: firmware reads it by lists of pages, in pieces. */
export const dataBytes = 3 * 2 ** 20 + 1234;

/** What is in it: nothing repeats, so that pieces in the wrong place are found. */
export function dataFile(): Buffer {
  const blocks = Array.from({ length: Math.ceil(dataBytes / 32) }, (_, index) => sha256(`sidecard ${index}`).digest());
  return Buffer.concat(blocks, dataBytes);
}

/** Its sha256, as GRUB prints it. */
export function dataDigest(): string {
  return sha256(dataFile()).digest('hex');
}

const grubModules = ['fat', 'part_msdos', 'normal', 'search', 'cat', 'echo', 'sleep', 'hashsum', 'gcry_sha256'];

/** Is part of GRUB's own file, so that it can tell what is missing on the disk. */
const grubConfig = `
search --file --set=root /greeting.txt
echo sidecard: GRUB runs from the disk
cat /greeting.txt
hashsum --hash sha256 /data.bin
echo sidecard: GRUB is done
sleep 3600
`;

/** Writes a raw disk of 64 MiB with one FAT partition: GRUB where UEFI looks on a disk it does not know, and the two files. */
export async function writeFirmwareDisk(file: string): Promise<void> {
  const firmware = await provisionFirmware();
  const content = [grubConfig, ...grubModules, firmware.grubModules, greeting, dataDigest()];
  const folder = await cached(`firmware-disk-${digest(...content)}`, async (made, scratch) => {
    const disk = join(made, 'disk.img');
    writeFileSync(disk, partitionTable());
    truncateSync(disk, partitionStart * sectorBytes + partitionBytes);
    writeFileSync(join(scratch, 'greeting.txt'), `${greeting}\n`);
    writeFileSync(join(scratch, 'data.bin'), dataFile());
    await makeGrub(firmware, scratch);
    await fillPartition(firmware, disk, scratch);
  });
  await succeed(['cp', '--sparse=always', join(folder, 'disk.img'), file]);
}

function partitionTable(): Buffer {
  const sector = Buffer.alloc(sectorBytes);
  writePartition(sector, 0x1be, { type: efiSystem, start: partitionStart, sizeBytes: partitionBytes });
  sector.writeUInt16LE(0xaa55, 510);
  return sector;
}

async function makeGrub(firmware: Firmware, scratch: string): Promise<void> {
  const config = join(scratch, 'grub.cfg');
  writeFileSync(config, grubConfig);
  const target = ['-O', 'x86_64-efi', '-d', firmware.grubModules, '-p', '/', '-c', config];
  const { hostProgram } = await provision();
  await run(hostProgram('grub-mkimage'), [...target, '-o', join(scratch, 'BOOTX64.EFI'), ...grubModules]);
}

async function fillPartition(firmware: Firmware, disk: string, scratch: string): Promise<void> {
  const partition = ['-i', `${disk}@@${partitionStart * sectorBytes}`];
  const call = (command: string, ...args: string[]): Promise<string> =>
    run(firmware.mtools, ['-c', command, ...partition, ...args]);
  const geometry = ['-T', `${partitionBytes / sectorBytes}`, '-h', '255', '-s', '63', '-H', `${partitionStart}`];
  await call('mformat', '-F', ...geometry, '::');
  await call('mmd', '::/EFI', '::/EFI/BOOT');
  await call('mcopy', join(scratch, 'BOOTX64.EFI'), '::/EFI/BOOT/BOOTX64.EFI');
  await call('mcopy', join(scratch, 'greeting.txt'), join(scratch, 'data.bin'), '::/');
}

function sha256(data: string | Buffer): ReturnType<typeof createHash> {
  return createHash('sha256').update(data);
}
