import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { execute, succeed } from './child.ts';

/** trixie; trixie-backports where a package is to be newer, bookworm where it is to be older. */
export type Release = 'bookworm' | 'trixie' | 'trixie-backports';

/** Those whose kernels are an older and a newer generation than trixie's. */
export const otherReleases: readonly Release[] = ['bookworm', 'trixie-backports'];

/** What to take from Debian's archive. */
export interface Selection {
  packages: readonly string[];
  /** Debian's name of the architecture: amd64, arm64. */
  architecture: string;
  release: Release;
  /** Dependencies that the programs named above do not need to run: what only scripts of an installation use. */
  without: readonly string[];
}

/** A guest cannot be had on this machine; the message says what to install. */
export class ProvisionError extends Error {
  override readonly name = 'ProvisionError';
}

const needed = "QEMU 10.1 or later, a kernel for guests, tools and a browser come from Debian's archive";
const keyrings = ['debian-archive-keyring.gpg', 'debian-archive-keyring.pgp'];

/** Downloads, as apt does and with the signatures checked as apt does, and unpacks into `root`; needs no rights. */
export async function unpackPackages(selection: Selection, work: string, root: string): Promise<void> {
  const env = { ...process.env, APT_CONFIG: await configure(selection, work), LC_ALL: 'C' };
  console.error(`sidecard: fetching Debian's package lists`);
  await apt(['update', '--error-on=any'], env);
  await apt(['install', '-y', '--download-only', ...selection.packages], env, progress);
  const archives = join(work, 'cache/archives');
  const files = readdirSync(archives).filter((name) => name.endsWith('.deb'));
  console.error(`sidecard: unpacking ${files.length} packages`);
  mkdirSync(root, { recursive: true });
  const unpackNext = async (): Promise<void> => {
    for (let file = files.pop(); file; file = files.pop())
      await succeed(['dpkg-deb', '-x', join(archives, file), root]);
  };
  await Promise.all(cpus().map(unpackNext));
}

/** Tells the size, then every tenth package: a slow mirror must not look like a program that hangs. */
function progress(line: string): void {
  const need = /^Need to get (.*) of archives/.exec(line);
  if (need) console.error(`sidecard: downloading ${need[1]}`);
  const got = /^Get:(\d+) /.exec(line);
  if (got && Number(got[1]) % 25 === 0) console.error(`sidecard: ${got[1]} packages`);
}

async function apt(args: string[], env: NodeJS.ProcessEnv, onLine?: (line: string) => void): Promise<void> {
  const { status, stdout, stderr } = await execute(['apt-get', '-q', ...args], { env, ...(onLine && { onLine }) });
  if (status === 0) return;
  if (status === 127) throw new ProvisionError(`${needed}, and apt-get is not here: install apt and dpkg`);
  const reason = /^[EW]: (.*)$/m.exec(stderr)?.[1] ?? stdout.trim().split('\n').at(-1);
  const what = args[0] === 'update' ? 'package lists' : 'packages';
  throw new ProvisionError(`${needed}, and ${what} cannot be fetched from the mirror in /etc/apt: ${reason}`);
}

/** An apt of our own, beside the machine's: its lists, its cache, its idea of what is installed. */
async function configure(selection: Selection, work: string): Promise<string> {
  for (const folder of ['lists/partial', 'cache/archives/partial', 'etc/preferences.d', 'etc/apt.conf.d']) {
    mkdirSync(join(work, folder), { recursive: true });
  }
  const mirror = machineMirror();
  const signedBy = `[signed-by=${keyring()}]`;
  // Backports build on their release; the others stand alone.
  const suites = selection.release === 'trixie-backports' ? ['trixie', 'trixie-backports'] : [selection.release];
  writeFileSync(join(work, 'etc/sources.list'), suites.map((s) => `deb ${signedBy} ${mirror} ${s} main\n`).join(''));
  writeFileSync(
    join(work, 'status'),
    selection.without.map((name) => installed(name, selection.architecture)).join('\n'),
  );
  const settings = [
    `Dir::State "${work}"; Dir::State::Lists "${work}/lists"; Dir::State::status "${work}/status";`,
    `Dir::Cache "${work}/cache"; Dir::Etc "${work}/etc";`,
    `APT::Architecture "${selection.architecture}"; APT::Architectures { "${selection.architecture}"; };`,
    `APT::Install-Recommends "false"; APT::Default-Release "${selection.release}"; APT::Sandbox::User "";`,
    `Acquire::Languages "none"; Acquire::Retries "3"; Debug::NoLocking "true";`,
    await machineProxy(),
  ];
  const file = join(work, 'apt.conf');
  writeFileSync(file, `${settings.join('\n')}\n`);
  return file;
}

/** Makes apt believe that a package is there. */
function installed(name: string, architecture: string): string {
  const fields = [`Package: ${name}`, 'Status: install ok installed', 'Version: 999', `Architecture: ${architecture}`];
  return `${[...fields, 'Multi-Arch: allowed', 'Maintainer: none', 'Description: not needed here'].join('\n')}\n`;
}

/** How this machine reaches its mirror. */
async function machineProxy(): Promise<string> {
  const { stdout } = await execute(['apt-config', 'dump', 'Acquire']);
  return stdout
    .split('\n')
    .filter((line) => /^Acquire::https?::.*(Proxy|Verify|CA)|^Acquire::Check-Valid-Until/i.test(line))
    .join('\n');
}

function keyring(): string {
  const folder = '/usr/share/keyrings';
  const found = keyrings.find((name) => readFolder(folder).includes(name));
  if (!found) throw new ProvisionError(`${needed}, and its keys are not here: install debian-archive-keyring`);
  return join(folder, found);
}

/** Debian's mirror as the machine's own apt sources name it, in either of apt's two formats. */
export function machineMirror(): string {
  const folder = '/etc/apt/sources.list.d';
  const files = [
    '/etc/apt/sources.list',
    ...readFolder(folder)
      .sort()
      .map((name) => join(folder, name)),
  ];
  for (const file of files) {
    const text = readText(file);
    const uris = file.endsWith('.sources')
      ? [...text.matchAll(/^URIs:\s*(\S+)/gm)]
      : [...text.matchAll(/^deb\s+(?:\[[^\]]*\]\s+)?(\S+)/gm)];
    const debian = uris.map((match) => match[1] as string).find((uri) => /\/debian\/?$/.test(uri));
    if (debian) return debian;
  }
  throw new ProvisionError(`${needed}, and /etc/apt/sources.list and sources.list.d name no mirror of Debian: add one`);
}

function readFolder(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
