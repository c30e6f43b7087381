import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { cached } from './cache.ts';
import { digest } from './digest.ts';
import { guestScripts } from './guest-scripts.ts';
import { moduleFolders, stageRoot } from './guest-tree.ts';
import { earlyModules, makeInitramfs } from './initramfs.ts';
import { type Provision, run } from './provision.ts';

/** What QEMU boots a guest from. */
export interface GuestImage {
  kernel: string;
  initrd: string;
  /** Read-only ext4, shared by all guests. */
  root: string;
}

/** Part of every cached name that this code makes: change it when the code makes something else. */
const imageLayout = '2';

/** The guest's kernel, initramfs and root file system: from the cache, or made in some seconds. */
export async function guestImage(provision: Provision): Promise<GuestImage> {
  const { guestTree, kernel } = provision;
  const parts = [guestTree, kernel.modules, ...earlyModules, ...moduleFolders, ...guestScripts];
  const name = `guest-${digest(imageLayout, ...parts)}`;
  const folder = await cached(name, async (made, scratch) => {
    console.error('sidecard: making the guest image');
    const tree = join(scratch, 'tree');
    await stageRoot(provision, tree);
    await makeInitramfs(provision, tree, scratch, join(made, 'initrd'));
    writeFileSync(join(made, 'kernel'), plainKernel(readFileSync(kernel.file)));
    await makeExt4(provision, tree, join(made, 'root.ext4'), 'sidecard-root', 512);
  });
  return { kernel: join(folder, 'kernel'), initrd: join(folder, 'initrd'), root: join(folder, 'root.ext4') };
}

/** A new ext4 image of so many MiB that holds the tree. */
export async function makeExt4(
  provision: Provision,
  tree: string,
  file: string,
  label: string,
  sizeMiB: number,
  offsetBytes = 0,
): Promise<void> {
  // Features that GRUB's reader may not know are left out.
  const features = '^metadata_csum_seed,^orphan_file,^has_journal';
  const extended = `root_owner=0:0,offset=${offsetBytes}`;
  const args = ['-q', '-F', '-t', 'ext4', '-m', '0', '-L', label, '-O', features, '-E', extended, '-d', tree, file];
  await run(provision.hostProgram('mke2fs'), [...args, `${sizeMiB}M`]);
}

/**
 * The kernel out of its self-extracting wrapper, which QEMU starts by its PVH note: unpacking under emulation takes
 * seconds. The layout of the wrapper is Documentation/arch/x86/boot.rst of Linux.
 */
export function plainKernel(image: Buffer): Buffer {
  const setupSectors = image.readUInt8(0x1f1) || 4;
  const start = (setupSectors + 1) * 512 + image.readUInt32LE(0x248);
  const end = start + image.readUInt32LE(0x24c);
  const isZstd = image.readUInt32LE(start) === 0xfd2fb528;
  // The last four bytes are the unpacked size, after the compressed frame.
  return isZstd ? zstdDecompressSync(image.subarray(start, end - 4)) : image;
}
