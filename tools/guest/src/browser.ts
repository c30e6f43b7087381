import { chmodSync, copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { unpackPackages } from './archive.ts';
import { cached } from './cache.ts';
import { digest } from './digest.ts';
import { hostArchitecture, loaderIn, type Program, scriptsOnly } from './provision.ts';

const packages = ['chromium-headless-shell', 'fonts-dejavu-core'];
/** Tools of a desktop; what compiles shaders for graphics cards. */
const without = [...scriptsOnly, 'x11-utils', 'x11-common', 'xdg-utils', 'libllvm19'];

/**
 * A browser for tests of pages: Debian's chromium without windows, with one family of fonts; 160 MB to download. The command is one executable. Its
 * sandbox wants rights that root in a container has not: `--no-sandbox`, for pages of our own.
 */
export async function provisionBrowser(): Promise<Program> {
  const selection = { packages, architecture: hostArchitecture, release: 'trixie', without } as const;
  const folder = await cached(
    `browser-${hostArchitecture}-${digest(JSON.stringify(selection))}`,
    async (made, scratch) => {
      const root = join(made, 'root');
      await unpackPackages(selection, scratch, root);
      makeStarter(root);
    },
  );
  const root = join(folder, 'root');
  return { command: [join(root, starter)], env: { FONTCONFIG_FILE: join(root, 'fonts.conf') } };
}

const home = 'usr/lib/chromium';
const starter = `${home}/start`;

/**
 * The browser runs on its own C library by its own loader, on whatever machine. It looks for its data beside /proc/self/exe, which is the loader: so that
 * is copied to where the data is. And it starts its other processes by the starter too, for which there must be no zygote.
 */
function makeStarter(root: string): void {
  const { loader, libraries } = loaderIn('');
  copyFileSync(join(root, loader), join(root, home, 'loader'));
  const up = home.replaceAll(/[^/]+/g, '..');
  const path = [libraries, `${libraries}/pulseaudio`, home].map((folder) => `"$here/${up}/${folder}"`).join(':');
  const script = [
    '#!/bin/sh',
    'here=$(dirname "$0")',
    `exec "$here/loader" --library-path ${path} "$here/chromium-headless-shell" --no-zygote --browser-subprocess-path="$0" "$@"`,
  ];
  writeFileSync(join(root, starter), `${script.join('\n')}\n`);
  chmodSync(join(root, starter), 0o755);
  const fonts = `<dir prefix="relative">usr/share/fonts</dir><cachedir prefix="xdg">fontconfig</cachedir>`;
  const head = '<?xml version="1.0"?>\n<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">';
  writeFileSync(join(root, 'fonts.conf'), `${head}\n<fontconfig>${fonts}</fontconfig>\n`);
}
