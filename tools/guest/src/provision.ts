import { existsSync, readdirSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { ProvisionError, unpackPackages } from './archive.ts';
import { cached, remembered } from './cache.ts';
import { execute, succeed } from './child.ts';
import { digest } from './digest.ts';

/** Everything that guests are made from. Commands are the start of an argument list, then come the arguments. */
export interface Provision {
  qemu: Program;
  /** Programs of this machine's architecture that build images: mke2fs, busybox, depmod, grub-mkimage. */
  hostProgram(name: string): Program;
  /** The unpacked packages for the guest: /usr with programs and modules, /boot with the kernel. */
  guestTree: string;
  kernelRelease: string;
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
const scriptsOnly = [
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
const hostWithout = [...scriptsOnly, 'ipxe-qemu', 'passwd'];

/** A test that is killed leaves no guest behind. QEMU 10.1 cannot do it, 11.1 can. */
const exitWithParent = ['-run-with', 'exit-with-parent=on'];

/** The QEMU, kernel and programs for guests: from the cache, filled from Debian's archive the first time. */
export async function provision(): Promise<Provision> {
  if (process.platform !== 'linux') throw new ProvisionError('guests need a Linux machine');
  const own = await qemuOnPath();
  const hostTree = await tree(own ? imagePackages : ['qemu-system-x86', ...imagePackages], {
    architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
    release: 'trixie-backports',
    without: hostWithout,
  });
  // Always trixie's kernel: with backports as the release, the same name gives one that is a year newer.
  const guestTree = await tree(guestPackages, { architecture: 'amd64', release: 'trixie', without: guestWithout });
  const hostProgram = (name: string): Program => unpackedProgram(hostTree, name);
  const kernelRelease = readdirSync(join(guestTree, 'usr/lib/modules'))[0] as string;
  return { qemu: own ?? unpackedQemu(hostTree), hostProgram, guestTree, kernelRelease };
}

/** Runs a program to its end; answers what it printed. */
export function run(program: Program, args: readonly string[]): Promise<string> {
  return succeed([...program.command, ...args], { env: { ...process.env, ...program.env } });
}

async function tree(
  packages: readonly string[],
  from: { architecture: string; release: 'trixie' | 'trixie-backports'; without: readonly string[] },
): Promise<string> {
  const name = `debian-${from.architecture}-${digest(JSON.stringify([packages, from]))}`;
  const folder = await cached(name, async (made, scratch) => {
    await unpackPackages({ packages, ...from }, scratch, join(made, 'root'));
  });
  return join(folder, 'root');
}

/** A program of an unpacked tree, run by that tree's own loader on its own libraries. */
function unpackedProgram(root: string, name: string): Program {
  const arm = process.arch === 'arm64';
  const loader = join(root, arm ? 'usr/lib/ld-linux-aarch64.so.1' : 'usr/lib64/ld-linux-x86-64.so.2');
  const libraries = join(root, arm ? 'usr/lib/aarch64-linux-gnu' : 'usr/lib/x86_64-linux-gnu');
  const file = ['usr/bin', 'usr/sbin'].map((folder) => join(root, folder, name)).find((path) => existsSync(path));
  if (!file) throw new Error(`${name} is missing in ${root}: remove that folder, to have it fetched again`);
  // busybox is static, and a loader refuses those.
  const command = name === 'busybox' ? [file] : [loader, '--library-path', libraries, file];
  return { command, env: { QEMU_MODULE_DIR: join(libraries, 'qemu') } };
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
