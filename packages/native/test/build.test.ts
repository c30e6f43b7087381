import { execFileSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const folder = fileURLToPath(new URL('..', import.meta.url));
const addon = `${folder}build/Release/sidecard_native.node`;
const build = () => execFileSync(process.execPath, [`${folder}build-addon.mjs`]);

it('a build that is up to date leaves the addon as it is', () => {
  build();
  const { ino, mtimeMs } = statSync(addon);
  build();
  expect(statSync(addon)).toMatchObject({ ino, mtimeMs });
});
