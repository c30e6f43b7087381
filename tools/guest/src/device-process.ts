import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** A device daemon of this repository, as a child process of its own: signals reach it, not a wrapper. */
export class DeviceProcess {
  readonly pid: number;
  readonly socket: string;
  /** Resolves with the exit status, or the signal's name, when the daemon has ended. */
  readonly exited: Promise<number | string>;
  readonly #child: ChildProcess;
  #log = '';
  #ended: number | string | undefined;

  private constructor(child: ChildProcess, socket: string) {
    this.#child = child;
    this.pid = child.pid as number;
    this.socket = socket;
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#log += text;
    });
    const killNow = (): void => void child.kill('SIGKILL');
    process.once('exit', killNow);
    this.exited = new Promise((done) => {
      child.once('close', (status, signal) => {
        process.removeListener('exit', killNow);
        this.#ended = status ?? signal ?? 'unknown';
        done(this.#ended);
      });
    });
  }

  /** Starts `sidecard-nvme --socket PATH ...` and the like; answers when the daemon listens. */
  static async start(
    name: string,
    socket: string,
    args: readonly string[],
    timeoutMs = 10_000,
  ): Promise<DeviceProcess> {
    const program = resolve(import.meta.dirname, '../../../node_modules/.bin', name);
    if (!existsSync(program)) throw new Error(`${name} is not built: npm run build`);
    const child = spawn(program, ['--socket', socket, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
    const device = new DeviceProcess(child, socket);
    const deadline = performance.now() + timeoutMs;
    // Looking for the file and not connecting: a device serves one client, and that is the guest.
    while (!existsSync(socket)) {
      if (device.#ended !== undefined) throw new Error(`${name} ended (${device.#ended}): ${device.#log.trim()}`);
      if (performance.now() > deadline) {
        await device.kill();
        throw new Error(`${name} does not listen after ${timeoutMs / 1000} s: ${device.#log.trim()}`);
      }
      await sleep(5);
    }
    return device;
  }

  /** What the daemon has logged so far. */
  get log(): string {
    return this.#log;
  }

  get running(): boolean {
    return this.#ended === undefined;
  }

  /** Asks it to end as an operator does; the exit status is 0 when it has flushed and left no socket. */
  async stop(): Promise<number | string> {
    this.#child.kill('SIGTERM');
    return this.exited;
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.exited;
  }
}
