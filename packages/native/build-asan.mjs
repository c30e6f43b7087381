// Builds the addon with AddressSanitizer beside the ordinary one, and runs a command with it:
//   node packages/native/build-asan.mjs node_modules/.bin/vitest run packages/native
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const addon = resolve(here, '.cache/asan/sidecard_native.node');
const nodeDir = resolve(dirname(process.execPath), '..');
const headers = [resolve(nodeDir, 'include/node'), '/usr/include/node'].find((dir) => existsSync(`${dir}/node_api.h`));
if (!headers) throw new Error('no headers of Node: run this with the Node of the repository, node_modules/.bin/node');

mkdirSync(dirname(addon), { recursive: true });
const flags = [
  '-std=gnu17',
  '-g',
  '-O1',
  '-fPIC',
  '-shared',
  '-Wl,-z,nodelete',
  '-pthread',
  '-fno-omit-frame-pointer',
  '-fsanitize=address,undefined',
];
const sources = readdirSync(resolve(here, 'src/c'))
  .filter((name) => name.endsWith('.c'))
  .map((name) => resolve(here, 'src/c', name));
// Aside first: a run with the one from before may be under way.
const aside = `${addon}.${process.pid}`;
const defines = ['-DNAPI_VERSION=9', '-D_GNU_SOURCE', `-I${headers}`];
execFileSync('gcc', [...flags, ...defines, ...sources, '-o', aside], { stdio: 'inherit' });
renameSync(aside, addon);

const library = (name) => execFileSync('gcc', [`-print-file-name=${name}`], { encoding: 'utf8' }).trim();
const env = {
  ...process.env,
  SIDECARD_NATIVE: addon,
  LD_PRELOAD: `${library('libasan.so')}:${library('libubsan.so')}`,
  // V8 keeps what it pleases until the end, and the signals of faults are Node's and ours to handle.
  ASAN_OPTIONS: 'detect_leaks=0:handle_segv=0:handle_sigbus=0:allow_user_segv_handler=1:abort_on_error=1',
  UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1',
};
const [command, ...args] = process.argv.slice(2);
if (command) process.exit(spawnSync(command, args, { stdio: 'inherit', env }).status ?? 1);
console.log(addon);
