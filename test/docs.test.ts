/** Code in these pages is code that runs: each block names a file of tests, and is there word for word. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '..');
const read = (path: string) => readFileSync(join(root, path), 'utf8');
const unindented = (text: string) => text.replaceAll(/^ +/gm, '');
const guide = 'docs/test-a-driver.md';

/** Of every block in TypeScript: the file in its first line, and the rest. */
function blocksOf(page: string): { file: string; code: string }[] {
  const blocks = [...read(page).matchAll(/^```ts\n(.*)\n((?:.*\n)*?)```$/gm)];
  return blocks.map(([, first = '', code = '']) => ({ file: /^\/\/ (\S+\.ts)$/.exec(first)?.[1] ?? '', code }));
}

describe.each([guide, 'docs/write-a-device.md', 'packages/testing/README.md'])('%s', (page) => {
  test('has code of files that are tested, and as it is there', () => {
    expect(blocksOf(page)).not.toEqual([]);
    for (const { file, code } of blocksOf(page)) {
      expect(file, code).toMatch(/\/test\//);
      expect(unindented(read(file))).toContain(unindented(code));
    }
  });
});

test('a test of ten lines has ten', () => {
  const { file, code } = blocksOf(guide)[0]!;
  expect(file).toMatch(/driver\/ten-lines\.test\.ts$/);
  expect(code.trim().split('\n').slice(1, -1).length).toBeLessThanOrEqual(10);
});

const pages = [
  'README.md',
  ...readdirSync(join(root, 'docs')).flatMap((name) => (name.endsWith('.md') ? [`docs/${name}`] : [])),
];
test.each([...pages, 'packages/testing/README.md'])('%s links to what is there', (page) => {
  const links = [...read(page).matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)].map((link) => link[1]!);
  const files = links.filter((link) => !/^https?:/.test(link));
  expect(files.filter((link) => !existsSync(join(root, dirname(page), link)))).toEqual([]);
});
