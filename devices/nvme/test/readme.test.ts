import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { adminOpcodes } from '../src/admin.ts';
import { Cns, Feature, LogPage } from '../src/commands.ts';
import { ioOpcodes } from '../src/io.ts';

const folder = new URL('..', import.meta.url);
const readme = readFileSync(new URL('README.md', folder), 'utf8');

const hex = (value: number) => `${value.toString(16).toUpperCase().padStart(2, '0')}h`;
const row = (title: string) => readme.split('\n').find((line) => line.startsWith(`| ${title}`)) ?? '';

test('README has every command, feature, log page and structure, and the tests that it names are there', () => {
  const codes = (table: readonly unknown[]) => table.flatMap((opcode, code) => (opcode === null ? [] : [hex(code)]));
  const [, admin = '', io = ''] = readme.split(/^\| (?:admin|I\/O) command .*$/m);
  for (const code of codes(adminOpcodes)) expect(admin).toContain(code);
  for (const code of codes(ioOpcodes)) expect(io).toContain(code);
  for (const id of Object.values(Feature)) expect(row('Get, Set Features')).toContain(hex(id));
  for (const id of Object.values(LogPage)) expect(row('Get Log Page')).toContain(hex(id));
  for (const id of Object.values(Cns)) expect(row('Identify')).toContain(hex(id));
  const links = [...readme.matchAll(/\]\(([^)]+)\)/g)].map((link) => link[1]!);
  expect(links.filter((link) => !existsSync(new URL(link, folder)))).toEqual([]);
});
