import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const folder = new URL('..', import.meta.url);
const readme = readFileSync(new URL('README.md', folder), 'utf8');

test('README names every test, and what it links to is there', () => {
  const links = [...readme.matchAll(/\]\(([^)]+)\)/g)].map((link) => link[1]!);
  expect(links.filter((link) => !existsSync(new URL(link, folder)))).toEqual([]);
  const tests = readdirSync(new URL('test', folder), { recursive: true, encoding: 'utf8' }).filter(
    (file) => file.endsWith('.test.ts') && !file.startsWith('readme'),
  );
  expect(tests.filter((file) => !links.includes(`test/${file}`))).toEqual([]);
});
