import { existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { succeed } from './child.ts';
import { installScript } from './guest-scripts.ts';
import { type Provision, run } from './provision.ts';

/** Kernel modules that go to the guest; the rest (wireless, sound, graphics) is most of the size. */
export const moduleFolders = [
  ...['arch', 'block', 'crypto', 'fs', 'lib', 'mm'],
  ...['ata', 'block', 'cdrom', 'char', 'dax', 'dma', 'gpio', 'hwmon', 'md', 'nvdimm', 'nvme', 'nvmem', 'pci'].map(
    (name) => `drivers/${name}`,
  ),
  ...['scsi', 'target', 'uio', 'vfio', 'virt', 'virtio'].map((name) => `drivers/${name}`),
];

const unneeded = ['share/doc', 'share/man', 'share/locale', 'share/zoneinfo', 'share/info', 'lib/grub', 'share/grub'];

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
  const { release, modules } = provision.kernel;
  const folder = join(tree, 'usr/lib/modules');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  await succeed(['cp', '-al', modules, join(folder, release)]);
  const kernel = join(folder, release, 'kernel');
  const kept = (path: string): boolean => moduleFolders.some((folder) => `${path}/`.startsWith(`${folder}/`));
  const packed: string[] = [];
  for (const entry of readdirSync(kernel, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    if (kept(entry.parentPath.slice(kernel.length + 1))) packed.push(path);
    else rmSync(path);
  }
  // Releases before trixie ship them unpacked.
  const xz = packed.filter((path) => path.endsWith('.xz'));
  if (xz.length > 0) await run(provision.hostProgram('busybox'), ['unxz', ...xz]);
  await run(provision.hostProgram('depmod'), ['-b', tree, release]);
}
