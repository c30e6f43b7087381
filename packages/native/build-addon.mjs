// Builds build/Release/sidecard_native.node. Plain JavaScript: it runs before anything is compiled.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const gyp = createRequire(import.meta.url).resolve('node-gyp/bin/node-gyp.js');

// The pinned Node brings its headers along; without them node-gyp would download some.
const nodeDir = resolve(dirname(process.execPath), '..');
const headers = existsSync(`${nodeDir}/include/node/node_api.h`) ? [`--nodedir=${nodeDir}`] : [];

// Not `rebuild`: that takes the addon away from daemons that start meanwhile.
for (const step of ['configure', 'build']) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [gyp, step, '--silent', ...headers], {
    cwd: here,
    encoding: 'utf8',
  });
  // Warnings of the compiler are wanted, the chatter of make is not.
  if (stderr) process.stderr.write(stderr);
  if (status !== 0) {
    process.stderr.write(`${stdout}\nbuilding the native addon failed; it needs gcc, make and python3\n`);
    process.exit(1);
  }
}
