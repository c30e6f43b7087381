/** `npm test` that is told to end ends, with what it has started. */
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fromSource, Program } from '@sidecard/testing';
import { expect, onTestFinished, test } from 'vitest';

test.each([
  ['SIGTERM', 143],
  ['SIGINT', 130],
  ['SIGHUP', 129],
] as const)('%s', async (signal, status) => {
  const folder = mkdtempSync(join(tmpdir(), 'sidecard-run-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  // In vitest's place: says who it is, and waits.
  const pidFile = join(folder, 'pid');
  writeFileSync(
    join(folder, 'vitest'),
    `#!/bin/sh\necho $$ >${pidFile}.new; mv ${pidFile}.new ${pidFile}\nexec sleep 60\n`,
  );
  chmodSync(join(folder, 'vitest'), 0o755);
  const env = { PATH: `${folder}:${process.env.PATH}` };
  const run = new Program(fromSource(new URL('./run.ts', import.meta.url)), { env });
  await expect.poll(() => existsSync(pidFile), { timeout: 15_000 }).toBe(true);
  const pid = readFileSync(pidFile, 'utf8').trim();
  run.child.kill(signal);
  expect((await run.ended).code).toBe(status);
  expect(existsSync(`/proc/${pid}`)).toBe(false);
});
