import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { adminOpcodes } from '../src/admin/admin.ts';
import { Cns, Feature, LogPage } from '../src/command/commands.ts';
import { ioOpcodes } from '../src/io/io.ts';

const folder = new URL('..', import.meta.url);
const read = (path: string) => readFileSync(new URL(path, folder), 'utf8');
const readme = read('README.md');

interface Item {
  /** As in `06h`, or empty. */
  readonly code: string;
  readonly title: string;
  readonly here: boolean;
  readonly tests: readonly string[];
}

function links(text: string): string[] {
  return [...text.matchAll(/\]\(([^)]+)\)/g)].map((link) => link[1]!);
}

/** Rows of the table under a heading: item, asked, here, test. */
function items(heading: string): Item[] {
  const [, section = ''] = readme.split(`### ${heading}\n`);
  const rows = section.split(/^#/m)[0]!.matchAll(/^\| (.+?) \| (.+?) \| (yes|no)(?:: .+?)? \| ?(.*?) ?\|$/gm);
  return [...rows].map(([, item = '', , here, tests = '']) => {
    const [, code = '', title = ''] = /^([0-9A-F]{1,2}h)? ?(.*)$/.exec(item)!;
    return { code, title, here: here === 'yes', tests: links(tests) };
  });
}

const hex = (value: number) => `${value.toString(16).toUpperCase().padStart(2, '0')}h`;
const codes = (table: readonly unknown[]) => table.flatMap((opcode, code) => (opcode === null ? [] : [hex(code)]));
const values = (ids: { readonly [name: string]: number }) => Object.values(ids).map(hex);

/** By heading: what tests call an item by its code, or '' where they call it by its title; and the codes that there are. */
const coded = [
  ['Admin commands', '', codes(adminOpcodes)],
  ['I/O commands', '', codes(ioOpcodes)],
  ['Identify (CNS)', 'CNS', values(Cns)],
  ['Log pages', 'log page', values(LogPage)],
  ['Features', 'feature', values(Feature)],
] as const;
const headings = [
  ...coded.map(([heading]) => heading),
  'Registers',
  'What a controller can do',
  'Data structures',
] as const;

test.each(coded)('README, %s: what there is says yes, and all else no', (heading, _kind, codesOfCode) => {
  const here = items(heading).filter((item) => item.here && item.code !== '');
  expect(here.map(({ code }) => code).sort()).toEqual([...codesOfCode].sort());
});

describe.each(headings)('README, %s', (heading) => {
  test('every yes has its test, and no no has', () => {
    const wrong = items(heading).filter(({ here, tests }) => here !== tests.length > 0);
    expect(wrong).toEqual([]);
    expect(items(heading).length).toBeGreaterThan(3);
  });
});

test.each(coded)('README, %s: the tests name what they are linked for', (heading, kind) => {
  const unnamed = items(heading).filter(({ here, code, title, tests }) => {
    const text = tests.map(read).join('\n').toLowerCase();
    return here && !text.includes((kind === '' ? title : `${kind} ${code}`).toLowerCase());
  });
  expect(unnamed.map(({ code, title }) => `${code} ${title}`)).toEqual([]);
});

test('README links to what is there', () => {
  expect(links(readme).filter((link) => !existsSync(new URL(link, folder)))).toEqual([]);
});
