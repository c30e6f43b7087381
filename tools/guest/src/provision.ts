import { existsSync, readdirSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { ProvisionError, type Release, type Selection, unpackPackages } from './archive.ts';
import { cached, remembered } from './cache.ts';
import { execute, succeed } from './child.ts';
import { digest } from './digest.ts';

/** Everything that guests are made from. Commands are the start of an argument list, then come the arguments. */
export interface Provision {
  qemu: Program;
  /** Programs of this machine's architecture that build images: mke2fs, busybox, depmod, grub-mkimage. */
  hostProgram(name: string): Program;
  /** The unpacked packages for the guest: /usr with its programs. */
  guestTree: string;
  kernel: Kernel;
}

export interface Kernel {
  /** As Debian packs it: compressed, in a wrapper that unpacks it. */
  file: string;
  /** The folder of its modules, of whatever name; it ends in the release. */
  modules: string;
  /** As uname -r says it. */
  release: string;
}

export interface Program {
  command: readonly string[];
  env: NodeJS.ProcessEnv;
}

const guestPackages = [
  'linux-image-amd64',
  ...['busybox-static', 'bash', 'dash', 'coreutils', 'util-linux', 'fdisk', 'kmod', 'pciutils'],
  ...['nvme-cli', 'smartmontools', 'fio', 'sg3-utils', 'gpiod'],
  ...['e2fsprogs', 'xfsprogs', 'btrfs-progs'],
  'grub-pc-bin',
];
const imagePackages = ['busybox-static', 'e2fsprogs', 'kmod', 'grub-common'];
/** What only scripts of an installation use. */
export const scriptsOnly = [
  'adduser',
  'base-passwd',
  'debconf',
  'gettext-base',
  'init-system-helpers',
  'dpkg',
  'debianutils',
  'base-files',
];
const guestWithout = [
  ...scriptsOnly,
  ...['initramfs-tools', 'linux-base', 'python3', 'python3-dbus', 'systemd', 'udev', 'mount', 'passwd', 'tzdata'],
];
const guestsFrom = { architecture: 'amd64', release: 'trixie', without: guestWithout } as const;
const hostWithout = [...scriptsOnly, 'ipxe-qemu', 'passwd'];
/** Another kernel comes alone, in the general flavour: the one for virtual machines, a quarter of its size, has no GPIO at all. */
const otherKernel = 'linux-image-amd64';
const kernelWithout = [...guestWithout, 'kmod'];

/** A test that is killed leaves no guest behind. QEMU 10.1 cannot do it, 11.1 can. */
const exitWithParent = ['-run-with', 'exit-with-parent=on'];

/**
 * The QEMU, kernel and programs for guests: from the cache, filled from Debian's archive the first time. The guest's
 * programs are always trixie's; another release's kernel is fetched when it is first asked for.
 */
export async function provision(kernelOf: Release = 'trixie'): Promise<Provision> {
  if (process.platform !== 'linux') throw new ProvisionError('guests need a Linux machine');
  const own = await qemuOnPath();
  const hostTree = await tree(own ? imagePackages : ['qemu-system-x86', ...imagePackages], {
    architecture: hostArchitecture,
    release: 'trixie-backports',
    without: hostWithout,
  });
  const guestTree = await tree(guestPackages, guestsFrom);
  const hostProgram = (name: string): Program => unpackedProgram(hostTree, name);
  const kernel = kernelIn(kernelOf === 'trixie' ? guestTree : await kernelTree(kernelOf));
  return { qemu: own ?? unpackedQemu(hostTree), hostProgram, guestTree, kernel };
}

/** A program of the package of its name, for this machine: the guests' own, where that runs here. */
export async function provisionProgram(name: string): Promise<Program> {
  const own = hostArchitecture === guestsFrom.architecture && guestPackages.includes(name);
  const root = await tree(
    own ? guestPackages : [name],
    own ? guestsFrom : { ...guestsFrom, architecture: hostArchitecture },
  );
  return unpackedProgram(root, name);
}

function kernelTree(release: Release): Promise<string> {
  return tree([otherKernel], { architecture: 'amd64', release, without: kernelWithout });
}

function kernelIn(root: string): Kernel {
  // Releases before trixie have /lib beside /usr/lib in their packages.
  const folder = ['usr/lib/modules', 'lib/modules'].map((name) => join(root, name)).find((path) => existsSync(path));
  if (!folder) throw new Error(`no kernel modules in ${root}: remove that folder, to have it fetched again`);
  const release = readdirSync(folder)[0] as string;
  const modules = join(folder, release);
  // Newest packages leave it to their installation to copy the kernel to /boot.
  const file = [join(root, 'boot', `vmlinuz-${release}`), join(modules, 'vmlinuz')].find((path) => existsSync(path));
  if (!file) throw new Error(`no kernel in ${root}: remove that folder, to have it fetched again`);
  return { file, modules, release };
}

/** Runs a program to its end; answers what it printed. */
export function run(program: Program, args: readonly string[]): Promise<string> {
  return succeed([...program.command, ...args], { env: { ...process.env, ...program.env } });
}

/** Debian's name of this machine's architecture. */
export const hostArchitecture = process.arch === 'arm64' ? 'arm64' : 'amd64';

/** The folder of those packages and all that they need, unpacked. */
export async function tree(packages: readonly string[], from: Omit<Selection, 'packages'>): Promise<string> {
  const name = `debian-${from.architecture}-${digest(JSON.stringify([packages, from]))}`;
  const folder = await cached(name, async (made, scratch) => {
    await unpackPackages({ packages, ...from }, scratch, join(made, 'root'));
  });
  return join(folder, 'root');
}

/** A program of an unpacked tree, run by that tree's own loader on its own libraries. */
export function unpackedProgram(root: string, name: string): Program {
  const { loader, libraries } = loaderIn(root);
  const file = ['usr/bin', 'usr/sbin'].map((folder) => join(root, folder, name)).find((path) => existsSync(path));
  if (!file) throw new Error(`${name} is missing in ${root}: remove that folder, to have it fetched again`);
  // busybox is static, and a loader refuses those.
  // Where Ceph's libraries, which fio is linked with, have their own.
  const path = `${libraries}:${join(libraries, 'ceph')}`;
  const command = name === 'busybox' ? [file] : [loader, '--library-path', path, file];
  return { command, env: { QEMU_MODULE_DIR: join(libraries, 'qemu') } };
}

/** Where a tree of this machine's architecture has its loader and its libraries. */
export function loaderIn(root: string): { loader: string; libraries: string } {
  const arm = process.arch === 'arm64';
  return {
    loader: join(root, arm ? 'usr/lib/ld-linux-aarch64.so.1' : 'usr/lib64/ld-linux-x86-64.so.2'),
    libraries: join(root, arm ? 'usr/lib/aarch64-linux-gnu' : 'usr/lib/x86_64-linux-gnu'),
  };
}

function unpackedQemu(root: string): Program {
  const { command, env } = unpackedProgram(root, 'qemu-system-x86_64');
  const firmware = ['-L', join(root, 'usr/share/qemu'), '-L', join(root, 'usr/share/seabios')];
  return { command: [...command, ...firmware, ...exitWithParent], env };
}

/** The machine's own QEMU when it is new enough and has the device; asked once per file. */
async function qemuOnPath(): Promise<Program | undefined> {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder.startsWith('/'));
  const file = folders.map((folder) => join(folder, 'qemu-system-x86_64')).find((path) => existsSync(path));
  if (!file) return undefined;
  const { mtimeMs, size } = statSync(file);
  const usable = await remembered(`qemu-${digest(file, `${mtimeMs} ${size}`)}`, async () => {
    const version = /version (\d+)\.(\d+)/.exec((await execute([file, '--version'])).stdout) ?? [];
    const [major, minor] = [Number(version[1] ?? 0), Number(version[2] ?? 0)];
    if (major < 10 || (major === 10 && minor < 1)) return 'no';
    if (!(await execute([file, '-device', 'help'])).stdout.includes('"vfio-user-pci"')) return 'no';
    return (await execute([file, '-run-with', 'help'])).stdout.includes('exit-with-parent')
      ? 'yes, with parent'
      : 'yes';
  });
  if (usable === 'no') return undefined;
  return { command: usable === 'yes' ? [file] : [file, ...exitWithParent], env: {} };
}
