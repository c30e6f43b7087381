import { readdirSync, readFileSync } from 'node:fs';
import { FakeNative, loadNative, type Native } from '../src/index.ts';

/** The two implementations that one contract holds for. */
export const natives: { name: string; create: () => Native; openFds: (native: Native) => number }[] = [
  { name: 'kernel', create: loadNative, openFds: () => readdirSync('/proc/self/fd').length },
  { name: 'fake', create: () => new FakeNative(), openFds: (native) => (native as FakeNative).openFds },
];

/** Mappings of this process whose file has this name. */
export function mappingsOf(name: string): number {
  return readFileSync('/proc/self/maps', 'utf8')
    .split('\n')
    .filter((line) => line.includes(name)).length;
}

export function bytes(...values: number[]): Uint8Array {
  return Uint8Array.from(values);
}

/** What a module prints, run by a Node of its own; `index` in its text is the package's. */
export function moduleText(body: string): string[] {
  const index = JSON.stringify(new URL('../src/index.ts', import.meta.url).href);
  return ['--input-type=module', '-e', `import { loadNative } from ${index};\nconst native = loadNative();\n${body}`];
}
