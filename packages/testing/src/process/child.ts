import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';

/** util-linux: has the kernel kill a program when the thread that started it is gone (prctl(2), PR_SET_PDEATHSIG). */
const setpriv = '/usr/bin/setpriv';
const diesWithParent = existsSync(setpriv) ? [setpriv, '--pdeathsig', 'KILL', '--'] : [];

const children = new Set<ChildProcess>();

process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

/** Starts a program that does not outlive this process, however that ends. The child is the program itself: signals reach it. */
export function spawnChild(command: readonly string[], options: SpawnOptions): ChildProcess {
  const [program, ...args] = [...diesWithParent, ...command];
  const child = spawn(program!, args, options);
  children.add(child);
  // There is no 'exit' when there was no program.
  for (const end of ['exit', 'error']) child.once(end, () => children.delete(child));
  return child;
}
