import { spawn } from 'node:child_process';
import { mkdtempSync, realpathSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

let ours: string | null = null;

/** A new folder, which is gone soon after this process, however that ends. */
export function temporaryFolder(): string {
  ours ??= guardedFolder();
  return mkdtempSync(join(ours, 'd-'));
}

/** Its guardian reads until the pipe ends, which is when this process has; it has a session of its own, so that Ctrl-C does not reach it. */
function guardedFolder(): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'sidecard-')));
  // A daemon that is being killed may make one more file.
  const script = 'cat; rm -rf "$0" || { sleep 1; rm -rf "$0"; }';
  const guardian = spawn('sh', ['-c', script, folder], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  guardian.once('error', () => {});
  guardian.unref();
  (guardian.stdin as Socket).unref();
  return folder;
}
