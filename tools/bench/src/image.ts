import { randomFillSync } from 'node:crypto';
import { open } from 'node:fs/promises';
import path from 'node:path';
import { workFolder } from './programs.ts';

const mib = 1024 * 1024;
let made: Promise<string> | undefined;

/** 256 MiB of random data, so that reads meet allocated blocks in the page cache. */
export function imageFile(): Promise<string> {
  made ??= make();
  return made;
}

async function make(): Promise<string> {
  const file = path.join(workFolder, 'disk.img');
  const image = await open(file, 'w');
  const piece = Buffer.alloc(4 * mib);
  for (let i = 0; i < 64; i++) await image.write(randomFillSync(piece));
  await image.close();
  return file;
}
