import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { cached, remembered } from '../src/cache.ts';

const before = process.env.SIDECARD_CACHE;
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sidecard-cache-'));
  process.env.SIDECARD_CACHE = folder;
});
afterEach(() => {
  if (before === undefined) delete process.env.SIDECARD_CACHE;
  else process.env.SIDECARD_CACHE = before;
  rmSync(folder, { recursive: true });
});

test('makes once, though several ask at the same time', async () => {
  let made = 0;
  const make = async (target: string): Promise<void> => {
    made += 1;
    await sleep(20);
    writeFileSync(join(target, 'content'), 'x');
  };
  const folders = await Promise.all([cached('thing', make), cached('thing', make), cached('thing', make)]);
  expect(new Set(folders)).toEqual(new Set([join(folder, 'thing')]));
  expect(made).toBe(1);
  expect(readdirSync(folder)).toEqual(['thing']);
});

test('does not take what failed half way for finished', async () => {
  const fail = cached('thing', async (target) => {
    writeFileSync(join(target, 'half'), 'x');
    throw new Error('the network is down');
  });
  await expect(fail).rejects.toThrow('the network is down');
  expect(readdirSync(folder)).toEqual([]);
  expect(existsSync(await cached('thing', async () => {}))).toBe(true);
});

test('clears away what a killed process left', async () => {
  mkdirSync(join(folder, '.unfinished-1/made'), { recursive: true });
  await cached('thing', async () => {});
  expect(readdirSync(folder)).toEqual(['thing']);
});

test('remembers an answer', async () => {
  let asked = 0;
  const ask = async (): Promise<string> => `answer ${++asked}`;
  expect([await remembered('question', ask), await remembered('question', ask)]).toEqual(['answer 1', 'answer 1']);
});
