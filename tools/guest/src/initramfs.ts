import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { succeed } from './child.ts';
import { installScript } from './guest-scripts.ts';
import type { Provision } from './provision.ts';

/** Modules that the initramfs loads to reach its root, on QEMU's virtio disk or on the device under test. */
export const earlyModules = ['virtio_pci', 'virtio_blk', 'ext4', 'nvme'];
/** What ext4 asks for by name when it mounts; newer kernels have it built in, under another name. */
const maybeModules = ['crc32c_generic'];

/** Packs the initramfs into `file`; `tree` is the staged guest, `scratch` is room to work in. */
export async function makeInitramfs(provision: Provision, tree: string, scratch: string, file: string): Promise<void> {
  const initramfs = join(scratch, 'initramfs');
  for (const name of ['bin', 'dev', 'proc', 'sys', 'mnt', 'modules'])
    mkdirSync(join(initramfs, name), { recursive: true });
  await succeed(['cp', join(tree, 'usr/bin/busybox'), join(initramfs, 'bin/busybox')]);
  installScript('initramfs-init', join(initramfs, 'init'));
  const modules = join(tree, 'usr/lib/modules', provision.kernel.release);
  const dependencies = readFileSync(join(modules, 'modules.dep'), 'utf8');
  const builtIn = readFileSync(join(modules, 'modules.builtin'), 'utf8');
  const wanted = earlyModules.filter((name) => !builtIn.includes(`/${name}.ko\n`));
  const also = maybeModules.filter((name) => dependencies.includes(`/${name}.ko:`));
  const paths = loadOrder(dependencies, [...also, ...wanted]);
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
