import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { cached } from './cache.ts';
import { succeed } from './child.ts';
import { digest } from './digest.ts';
import type { Program, Provision } from './provision.ts';

/** What QEMU boots a guest from. */
export interface GuestImage {
  kernel: string;
  initrd: string;
  /** Read-only ext4, shared by all guests. */
  root: string;
}

const scripts = resolve(import.meta.dirname, '../root');
const scriptNames = ['initramfs-init', 'guest-init', 'guest-agent'];

/** Modules that the initramfs loads to reach its root, on QEMU's virtio disk or on the device under test. */
const earlyModules = ['virtio_blk', 'crc32c_generic', 'ext4', 'nvme'];

/** Kernel modules that go to the guest; the rest (wireless, sound, graphics) is most of the size. */
const moduleFolders = [
  ...['arch', 'block', 'crypto', 'fs', 'lib', 'mm'],
  ...['ata', 'block', 'cdrom', 'char', 'dax', 'dma', 'gpio', 'hwmon', 'md', 'nvdimm', 'nvme', 'nvmem', 'pci'].map(
    (name) => `drivers/${name}`,
  ),
  ...['scsi', 'target', 'uio', 'vfio', 'virt', 'virtio'].map((name) => `drivers/${name}`),
];

const unneeded = ['share/doc', 'share/man', 'share/locale', 'share/zoneinfo', 'share/info', 'lib/grub', 'share/grub'];

/** Part of every cached name that this code makes: change it when the code makes something else. */
export const imageLayout = '1';

/** The guest's kernel, initramfs and root file system: from the cache, or made in some seconds. */
export async function guestImage(provision: Provision): Promise<GuestImage> {
  const texts = scriptNames.map((name) => readFileSync(join(scripts, name), 'utf8'));
  const name = `guest-${digest(imageLayout, provision.guestTree, ...earlyModules, ...moduleFolders, ...texts)}`;
  const folder = await cached(name, async (made, scratch) => {
    console.error('sidecard: making the guest image');
    const tree = join(scratch, 'tree');
    await stageRoot(provision, tree);
    await makeInitramfs(provision, tree, scratch, join(made, 'initrd'));
    writeFileSync(join(made, 'kernel'), plainKernel(readFileSync(kernelOf(provision))));
    await makeExt4(provision, tree, join(made, 'root.ext4'), 'sidecard-root', 512);
  });
  return { kernel: join(folder, 'kernel'), initrd: join(folder, 'initrd'), root: join(folder, 'root.ext4') };
}

/** The compressed kernel as Debian ships it, which boot loaders want. */
export function kernelOf(provision: Provision): string {
  return join(provision.guestTree, 'boot', `vmlinuz-${provision.kernelRelease}`);
}

/** The guest's whole tree as files: the packages, less what no test needs, and our scripts. */
export async function stageRoot(provision: Provision, tree: string): Promise<void> {
  // Hard links: the packages stay as they are, here names only come and go.
  await succeed(['cp', '-al', provision.guestTree, tree]);
  for (const path of [...unneeded.map((name) => join('usr', name)), 'boot', 'var']) {
    rmSync(join(tree, path), { recursive: true, force: true });
  }
  for (const name of ['dev', 'proc', 'sys', 'tmp', 'run', 'mnt', 'root', 'var']) mkdirSync(join(tree, name));
  for (const name of ['bin', 'sbin', 'lib', 'lib64']) symlinkSync(`usr/${name}`, join(tree, name));
  writeFileSync(join(tree, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
  writeFileSync(join(tree, 'etc/group'), 'root:x:0:\ndisk:x:6:\n');
  symlinkSync('../proc/self/mounts', join(tree, 'etc/mtab'));
  installScript('guest-init', join(tree, 'usr/sbin/guest-init'));
  installScript('guest-agent', join(tree, 'usr/sbin/guest-agent'));
  await linkApplets(provision, tree);
  await stageModules(provision, tree);
}

/** Busybox for every program that no package brought. */
async function linkApplets(provision: Provision, tree: string): Promise<void> {
  const list = await run(provision.hostProgram('busybox'), ['--list']);
  for (const applet of list.trim().split('\n')) {
    if (['usr/bin', 'usr/sbin'].some((folder) => existsSync(join(tree, folder, applet)))) continue;
    symlinkSync('busybox', join(tree, 'usr/bin', applet));
  }
}

/** Unpacked here, once: unpacking xz under emulation takes longer than reading the larger file. */
async function stageModules(provision: Provision, tree: string): Promise<void> {
  const kernel = join(tree, 'usr/lib/modules', provision.kernelRelease, 'kernel');
  const kept = (path: string): boolean => moduleFolders.some((folder) => `${path}/`.startsWith(`${folder}/`));
  const packed: string[] = [];
  for (const entry of readdirSync(kernel, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    if (kept(entry.parentPath.slice(kernel.length + 1))) packed.push(path);
    else rmSync(path);
  }
  await run(provision.hostProgram('busybox'), ['unxz', ...packed]);
  await run(provision.hostProgram('depmod'), ['-b', tree, provision.kernelRelease]);
}

async function makeInitramfs(provision: Provision, tree: string, scratch: string, file: string): Promise<void> {
  const initramfs = join(scratch, 'initramfs');
  for (const name of ['bin', 'dev', 'proc', 'sys', 'mnt', 'modules'])
    mkdirSync(join(initramfs, name), { recursive: true });
  await succeed(['cp', join(tree, 'usr/bin/busybox'), join(initramfs, 'bin/busybox')]);
  installScript('initramfs-init', join(initramfs, 'init'));
  const modules = join(tree, 'usr/lib/modules', provision.kernelRelease);
  const paths = loadOrder(readFileSync(join(modules, 'modules.dep'), 'utf8'), earlyModules);
  for (const path of paths) await succeed(['cp', join(modules, path), join(initramfs, 'modules')]);
  writeFileSync(join(initramfs, 'modules/order'), paths.map((path) => `${path.split('/').at(-1)}\n`).join(''));
  const busybox = provision.hostProgram('busybox').command[0] as string;
  const script = '"$0" find . | "$0" cpio -o -H newc -R 0:0 >"$1" 2>/dev/null';
  await succeed(['sh', '-c', script, busybox, file], { cwd: initramfs });
}

/** Every module named and what it depends on, dependencies first; the text is depmod's modules.dep. */
export function loadOrder(dependencies: string, names: readonly string[]): string[] {
  const needs = new Map<string, string[]>();
  for (const line of dependencies.trim().split('\n')) {
    const [path, rest] = line.split(':') as [string, string];
    needs.set(
      path,
      rest
        .trim()
        .split(' ')
        .filter((word) => word !== ''),
    );
  }
  const order = new Set<string>();
  for (const name of names) {
    const path = [...needs.keys()].find((candidate) => candidate.endsWith(`/${name}.ko`));
    if (!path) throw new Error(`the guest's kernel has no module ${name}`);
    // depmod lists the nearest dependency first, so the last is the one to load first.
    for (const needed of [...(needs.get(path) ?? [])].reverse()) order.add(needed);
    order.add(path);
  }
  return [...order];
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

function installScript(name: string, path: string): void {
  writeFileSync(path, readFileSync(join(scripts, name)));
  chmodSync(path, 0o755);
}

export function run(program: Program, args: readonly string[]): Promise<string> {
  return succeed([...program.command, ...args], { env: { ...process.env, ...program.env } });
}
