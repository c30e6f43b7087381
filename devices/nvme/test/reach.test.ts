import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseDrive } from '@sidecard/block';
import { expect, test } from 'vitest';
import { reach } from '../src/control/reach.ts';

const folder = mkdtempSync(join(tmpdir(), 'sidecard-reach-'));

// Another user's rights can be tried by root only, and only in a process of its own.
test.skipIf(process.getuid?.() !== 0 || process.setegid === undefined)(
  'to look whether a folder takes changes changes nothing in it, also where it is of a group of others',
  async () => {
    const images = join(folder, 'images');
    mkdirSync(images);
    chmodSync(folder, 0o755);
    chownSync(images, 1234, 4321);
    chmodSync(images, 0o2775);
    const groups = process.getgroups!();
    process.setgroups!([]);
    process.setegid!(1234);
    process.seteuid!(1234);
    try {
      await reach(parseDrive(`${images}/new.img,size=1M`));
    } finally {
      process.seteuid!(0);
      process.setegid!(0);
      process.setgroups!(groups);
    }
    expect((statSync(images).mode & 0o7777).toString(8)).toBe('2775');
    rmSync(folder, { recursive: true });
  },
);
