import type { ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { spawnChild } from '../process/child.ts';

/** QEMU as a test runs it. What it prints goes to a file: it never waits for a test that waits for it, and can be read while the test does. */
export class QemuProcess {
  /** Of it and its sockets; removed by `remove`. */
  readonly folder: string;
  /** How it ended: a status, a signal, or why it could not be started. Null while it runs. */
  ended: string | null = null;
  readonly #child: ChildProcess;
  readonly #log: string;
  #lastPrinted: string | null = null;

  /** `onEnd` is called when it has ended, in whatever way. */
  constructor(command: readonly string[], folder: string, env: NodeJS.ProcessEnv, onEnd: (error: Error) => void) {
    this.folder = folder;
    this.#log = join(folder, 'log');
    const log = openSync(this.#log, 'a');
    this.#child = spawnChild(command, { env: { ...process.env, ...env }, stdio: ['ignore', 'ignore', log] });
    closeSync(log);
    const ended = (how: string) => {
      this.ended = how;
      onEnd(this.error('ended'));
    };
    this.#child.once('exit', (code, signal) => ended(signal ?? `status ${code}`));
    this.#child.once('error', ({ message }) => ended(message));
  }

  get printed(): string {
    return this.#lastPrinted ?? readFileSync(this.#log, 'utf8');
  }

  /** One line, how it ended if it has, and what it printed. */
  error(what: string): Error {
    return new Error(`QEMU ${what}${this.ended === null ? '' : ` (${this.ended})`}\n${this.printed}`.trimEnd());
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** Kills it, if it runs, and removes the folder. */
  remove(): void {
    this.signal('SIGKILL');
    this.#lastPrinted = this.printed;
    rmSync(this.folder, { recursive: true, force: true });
  }
}
