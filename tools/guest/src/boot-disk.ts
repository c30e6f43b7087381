import { copyFileSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cached } from './cache.ts';
import { succeed } from './child.ts';
import { digest } from './digest.ts';
import { stageRoot } from './guest-tree.ts';
import { guestImage, makeExt4 } from './image.ts';
import { kernelCommandLine } from './machine.ts';
import { type Provision, run } from './provision.ts';

const sectorBytes = 512;
/** Where the partition begins, in sectors: 1 MiB, and GRUB's core lives in the gap before it. */
const partitionStart = 2048;
const partitionMiB = 600;
const linuxType = 0x83;

const grubModules = ['biosdisk', 'part_msdos', 'ext2', 'normal', 'linux', 'serial', 'terminal', 'echo'];

const grubConfig = `
serial --unit=0 --speed=115200
terminal_output serial
echo sidecard: GRUB runs from the disk
linux /boot/vmlinuz ${kernelCommandLine} sidecard.root=LABEL=sidecard-boot
initrd /boot/initrd
boot
`;

/** The size of the disk that boots. */
export const bootDiskBytes = partitionStart * sectorBytes + partitionMiB * 2 ** 20;

/**
 * Writes a raw disk that a BIOS boots: GRUB in the master boot record and the gap after it, and one ext4 partition with
 * kernel, initramfs and the whole guest. The root file system is mounted from the same partition.
 */
export async function writeBootDisk(provision: Provision, file: string): Promise<void> {
  const image = await guestImage(provision);
  const name = `boot-disk-${digest(image.initrd, grubConfig, ...grubModules, `${partitionMiB}`)}`;
  const folder = await cached(name, async (made, scratch) => {
    console.error('sidecard: making the boot disk');
    const tree = join(scratch, 'tree');
    await stageRoot(provision, tree);
    mkdirSync(join(tree, 'boot/grub'), { recursive: true });
    copyFileSync(provision.kernel.file, join(tree, 'boot/vmlinuz'));
    copyFileSync(image.initrd, join(tree, 'boot/initrd'));
    writeFileSync(join(tree, 'boot/grub/grub.cfg'), grubConfig);
    const disk = join(made, 'disk.img');
    writeFileSync(disk, await bootSectors(provision, scratch));
    truncateSync(disk, bootDiskBytes);
    await makeExt4(provision, tree, disk, 'sidecard-boot', partitionMiB, partitionStart * sectorBytes);
  });
  await succeed(['cp', '--sparse=always', join(folder, 'disk.img'), file]);
}

/** What grub-install would write before the first partition, and the partition table. */
async function bootSectors(provision: Provision, scratch: string): Promise<Buffer> {
  const modules = join(provision.guestTree, 'usr/lib/grub/i386-pc');
  const core = join(scratch, 'core.img');
  const target = ['-O', 'i386-pc', '-d', modules, '-p', '(hd0,msdos1)/boot/grub', '-o', core];
  await run(provision.hostProgram('grub-mkimage'), [...target, ...grubModules]);
  const coreImage = readFileSync(core);
  const room = (partitionStart - 1) * sectorBytes;
  if (coreImage.length > room) throw new Error(`GRUB's core has ${coreImage.length} bytes, room is for ${room}`);
  // boot.img loads the sector at 1 and core.img goes on at 2: both are the defaults that the images are made with.
  const boot = Buffer.alloc(sectorBytes);
  readFileSync(join(modules, 'boot.img')).copy(boot, 0, 0, 440);
  writePartition(boot, 0x1be, { type: linuxType, start: partitionStart, sizeBytes: partitionMiB * 2 ** 20 });
  boot.writeUInt16LE(0xaa55, 510);
  return Buffer.concat([boot, coreImage]);
}

/** One active partition in a partition table. Addresses of cylinders are saturated: everything reads the linear ones. */
export function writePartition(
  sector: Buffer,
  offset: number,
  { type, start, sizeBytes }: { type: number; start: number; sizeBytes: number },
): void {
  sector.writeUInt8(0x80, offset);
  sector.fill(0xff, offset + 1, offset + 8);
  sector.writeUInt8(type, offset + 4);
  sector.writeUInt32LE(start, offset + 8);
  sector.writeUInt32LE(sizeBytes / sectorBytes, offset + 12);
}
