// Builds build/Release/sidecard_native.node, unless it is there already. Plain JavaScript: it runs before anything is
// compiled. The new addon is built aside and renamed into place: who has the old one open keeps it, and who opens it
// meanwhile finds one of the two, whole.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const product = 'build/Release/sidecard_native.node';
const sources = readdirSync(resolve(here, 'src/c')).sort();
const inputs = ['build-addon.mjs', 'binding.gyp', ...sources.map((name) => `src/c/${name}`)];

const hash = createHash('sha1').update(process.arch);
for (const input of inputs) hash.update(`\0${input}\0`).update(readFileSync(resolve(here, input)));
const digest = hash.digest();

// The addon's build id says what it was made of; a stamp in a file beside it could be another build's.
if (existsSync(resolve(here, product)) && readFileSync(resolve(here, product)).includes(digest)) process.exit();

mkdirSync(resolve(here, '.cache'), { recursive: true });
const aside = mkdtempSync(resolve(here, '.cache/addon-'));
process.on('exit', () => rmSync(aside, { recursive: true, force: true }));
for (const input of inputs) cpSync(resolve(here, input), resolve(aside, input));

const gyp = createRequire(import.meta.url).resolve('node-gyp/bin/node-gyp.js');
// The pinned Node brings its headers along; without them node-gyp would download some.
const nodeDir = resolve(dirname(process.execPath), '..');
const headers = existsSync(`${nodeDir}/include/node/node_api.h`) ? [`--nodedir=${nodeDir}`] : [];
const buildId = `-Wl,--build-id=0x${digest.toString('hex')}`;
const { status, stdout, stderr } = spawnSync(
  process.execPath,
  [gyp, 'rebuild', '--silent', `--jobs=${availableParallelism()}`, ...headers],
  { cwd: aside, encoding: 'utf8', env: { ...process.env, LDFLAGS: `${process.env.LDFLAGS ?? ''} ${buildId}` } },
);
// Warnings of the compiler are wanted, the chatter of make is not.
if (stderr) process.stderr.write(stderr);
if (status !== 0) {
  process.stderr.write(`${stdout}\nbuilding the native addon failed; it needs gcc, make and python3\n`);
  process.exit(1);
}
mkdirSync(dirname(resolve(here, product)), { recursive: true });
renameSync(resolve(aside, product), resolve(here, product));
