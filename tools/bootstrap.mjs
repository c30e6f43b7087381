// From a fresh clone to the repository's own Node: install, build, then run what was asked for.
// Plain JavaScript with no dependencies, because it runs before any is there, by whatever Node the machine has.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
process.chdir(root);
const bin = resolve('node_modules/.bin');
const env = { ...process.env, PATH: `${bin}:${process.env.PATH}`, TURBO_TELEMETRY_DISABLED: '1' };

function run(command, args, quiet = false) {
  const { status, signal, error, stdout, stderr } = spawnSync(command, args, {
    env,
    stdio: quiet ? ['inherit', 'pipe', 'pipe'] : 'inherit',
    encoding: 'utf8',
  });
  if (error) console.error(`${command}: ${error.message}`);
  if (status === 0) return;
  if (quiet) process.stderr.write(`${stdout ?? ''}${stderr ?? ''}`);
  process.exit(status ?? (signal === 'SIGINT' ? 130 : 1));
}

/** The stamp is written last, so an install that was interrupted is done again. */
function install() {
  const stamp = 'node_modules/.sidecard-lockfile';
  const lock = createHash('sha256').update(readFileSync('pnpm-lock.yaml')).digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return;
  console.error('sidecard: installing (once per lockfile)...');
  rmSync(stamp, { force: true });
  // A path set up for the repository would make npx take the pnpm that is about to be replaced.
  const npx = spawnSync('npx', ['--yes', 'pnpm@12.21.0', 'install', '--frozen-lockfile'], {
    env: { ...process.env, npm_config_loglevel: 'error' },
    stdio: 'inherit',
  });
  if (npx.error) console.error(`npx: ${npx.error.message}`);
  if (npx.status !== 0) process.exit(npx.status ?? 1);
  mkdirSync('node_modules', { recursive: true });
  writeFileSync(stamp, lock);
}

/** Nothing is cached by turbo: it would restore the addon in place, under daemons that run. Both tasks know what is stale. */
function build() {
  const started = Date.now();
  run('turbo', ['run', 'addon', '//#compile', '--continue', '--output-logs=errors-only', '--no-update-notifier'], true);
  if (Date.now() - started > 3000) console.error(`sidecard: built in ${Math.round((Date.now() - started) / 1000)} s`);
}

/** The last step, as a child that signals reach: ended by a signal, this process must not leave it behind. */
function handOver(command, args) {
  const child = spawn(command, args, { env, stdio: 'inherit' });
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  // On a terminal, Ctrl-C has reached the child already: then this only keeps this process waiting for it.
  const reached = (signal) => signal === 'SIGINT' && process.stdin.isTTY;
  for (const signal of signals) process.on(signal, () => reached(signal) || child.kill(signal));
  child.on('exit', (status, signal) => process.exit(status ?? (signal === 'SIGINT' ? 130 : 1)));
}

const [task, ...rest] = process.argv.slice(2);
const node = resolve(bin, 'node');

switch (task) {
  case 'build':
    install();
    build();
    break;
  case 'start':
    install();
    build();
    handOver(node, ['tools/guest/dist/start.js', ...rest]);
    break;
  case 'test':
    install();
    build();
    handOver(node, ['test/run.ts', ...rest]);
    break;
  case 'bench':
    install();
    build();
    handOver(node, ['tools/bench/dist/main.js', ...rest]);
    break;
  case 'fuzz:nvme':
    install();
    build();
    handOver(node, ['--conditions=@sidecard/source', 'devices/nvme/test/model/fuzz.ts', ...rest]);
    break;
  case 'check':
    install();
    run('biome', ['check', '.']);
    build();
    run('tsc', ['-b']);
    run('vitest', ['run', '--project', 'unit', ...rest]);
    break;
  default:
    console.error('usage: node tools/bootstrap.mjs build|start|test|check|bench|fuzz:nvme');
    process.exit(2);
}
