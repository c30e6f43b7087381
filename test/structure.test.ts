/** Dependencies point one way: native <- core <- block, daemon <- devices <- tools; testing sees all but devices. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '..');
const layers = ['native', 'core', 'libraries', 'devices', 'tools'] as const;
type Layer = (typeof layers)[number];

interface Package {
  /** Without the scope. */
  name: string;
  folder: string;
  layer: Layer;
  dependencies: string[];
  files: string[];
}

interface Import {
  from: string;
  typeOnly: boolean;
}

const packages: Package[] = ['packages', 'devices', 'tools'].flatMap((group) =>
  readdirSync(join(root, group))
    .map((name) => join(root, group, name))
    .filter((folder) => existsSync(join(folder, 'package.json')))
    .map((folder) => describePackage(group, folder)),
);

function describePackage(group: string, folder: string): Package {
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const name = manifest.name.replace('@sidecard/', '');
  const dependencies = Object.keys(manifest.dependencies ?? {}).flatMap(
    (key) => key.match(/^@sidecard\/(.*)/)?.[1] ?? [],
  );
  const source = join(folder, 'src');
  const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  return { name, folder, layer: layerOf(group, name), dependencies, files: files.map((file) => join(source, file)) };
}

function layerOf(group: string, name: string): Layer {
  if (group !== 'packages') return group as Layer;
  return name === 'native' || name === 'core' ? name : 'libraries';
}

function importsOf(file: string): Import[] {
  const text = readFileSync(file, 'utf8');
  const found = [...text.matchAll(/^(?:import|export)\s+(type\s)?[^'";]*?from\s+'([^']+)'/gm)];
  const bare = [...text.matchAll(/(?:^import\s+|import\(\s*)()'([^']+)'/gm)];
  return [...found, ...bare].map((match) => ({ typeOnly: Boolean(match[1]), from: match[2] as string }));
}

function mayDepend(user: Package, used: Package): boolean {
  if (user.name === 'testing') return used.layer !== 'devices' && used.layer !== 'tools';
  // Only what tests is built on the driver's side: a daemon never carries it along.
  if (used.name === 'testing') return user.layer === 'tools';
  return layers.indexOf(used.layer) < layers.indexOf(user.layer);
}

const byName = new Map(packages.map((each) => [each.name, each]));

describe.each(packages.map((each) => [each.name, each] as const))('%s', (_, user) => {
  test('depends only on layers below it', () => {
    const wrong = user.dependencies.filter((name) => !mayDepend(user, byName.get(name) as Package));
    expect(wrong).toEqual([]);
  });

  test('imports what it declares, by the index only, and no file of another package', () => {
    const wrong = user.files.flatMap((file) =>
      importsOf(file)
        .filter(({ from }) => !importAllowed(user, file, from))
        .map(({ from }) => `${relative(root, file)} imports ${from}`),
    );
    expect(wrong).toEqual([]);
  });
});

function importAllowed(user: Package, file: string, from: string): boolean {
  if (from.startsWith('.')) return !relative(join(user.folder, 'src'), resolve(file, '..', from)).startsWith('..');
  const name = from.match(/^@sidecard\/(.*)/)?.[1];
  return name === undefined || user.dependencies.includes(name);
}

describe('the rim of core', () => {
  const source = join(root, 'packages/core/src');
  /** Outside rim/ these know the shape of the native functions that they are handed, and none else does. */
  const handed = ['memory/memory-native.ts', 'server/device-server.ts', 'server/socket-channel.ts'];
  const users = (byName.get('core') as Package).files.flatMap((file) =>
    importsOf(file)
      .filter(({ from }) => from === '@sidecard/native')
      .map(({ typeOnly }) => ({ file: relative(source, file), typeOnly })),
  );

  test('alone loads the native code', () => {
    expect(users.filter(({ file, typeOnly }) => !typeOnly && !file.startsWith('rim/'))).toEqual([]);
  });

  test('alone knows its types, but for the files named here', () => {
    expect(users.filter(({ file }) => !file.startsWith('rim/') && !handed.includes(file))).toEqual([]);
  });

  test('keeps sockets, files and clocks of Node out of the rest', () => {
    const system = /^node:(fs|net|child_process|os|dgram|timers|worker_threads)/;
    const wrong = (byName.get('core') as Package).files
      .filter((file) => !relative(source, file).startsWith('rim/'))
      .flatMap((file) =>
        importsOf(file)
          .filter(({ from }) => system.test(from))
          .map(({ from }) => `${file}: ${from}`),
      );
    expect(wrong).toEqual([]);
  });
});
