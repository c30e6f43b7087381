import type { ChildProcess } from 'node:child_process';
import { appendFileSync, closeSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadNative } from '@sidecard/native';
import { SocketTransport } from '../socket-transport.ts';
import { spawnChild } from './child.ts';
import { cpuNsOf, type Holdings, holdingsOf, isListening, residentBytesOf } from './proc.ts';
import { temporaryFolder } from './temporary-folder.ts';

export interface DaemonOptions {
  /** For its socket, its log and files of its own. A new one unless given, and only that is removed again. */
  readonly folder?: string;
  readonly cwd?: string;
  /** Beside what this process has; undefined takes a variable away. */
  readonly env?: NodeJS.ProcessEnv;
  /** How long it may take to listen, ms; 10,000 unless told. */
  readonly timeoutMs?: number;
}

/** An exit status, or the signal that ended it. */
export type ExitStatus = number | NodeJS.Signals;

const START_TIMEOUT_MS = 10_000;
/** How long a daemon may take to end when it is asked to, ms: flushing takes its time. */
const STOP_TIMEOUT_MS = 20_000;

/**
 * A device's daemon in a process of its own, of any language. It does not outlive this process, however that ends. What it prints goes to a file:
 * a daemon never waits for a test that waits for it, and `log` is always all of it.
 */
export class DaemonProcess {
  readonly folder: string;
  readonly socket: string;
  readonly pid: number;
  /** Resolves when it has ended, in whatever way. */
  readonly exited: Promise<ExitStatus>;
  /** From the start of the process until it listened, ms. */
  readyMs = 0;
  readonly #child: ChildProcess;
  readonly #command: string;
  readonly #logFile: string;
  readonly #ownsFolder: boolean;
  #status: ExitStatus | undefined;
  #lastLog: string | undefined;

  private constructor(command: readonly string[], { folder, cwd, env }: DaemonOptions) {
    this.#ownsFolder = folder === undefined;
    this.folder = folder !== undefined ? resolve(folder) : temporaryFolder();
    this.socket = join(this.folder, 'device.sock');
    this.#logFile = join(this.folder, 'log');
    const words = command.map((word) => word.replaceAll('{socket}', this.socket).replaceAll('{folder}', this.folder));
    this.#command = [basename(words[0]!), ...words.slice(1)].join(' ');
    writeFileSync(this.#logFile, '');
    const log = openSync(this.#logFile, 'a');
    this.#child = spawnChild(words, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', log, log] });
    closeSync(log);
    this.pid = this.#child.pid ?? 0;
    this.exited = new Promise((resolve) => {
      const ended = (status: ExitStatus) => {
        this.#lastLog = this.log;
        this.#status = status;
        resolve(status);
      };
      this.#child.once('exit', (code, signal) => ended(code ?? signal!));
      this.#child.once('error', ({ message }) => {
        appendFileSync(this.#logFile, message);
        ended(127); // As a shell says.
      });
    });
  }

  /**
   * Starts `command`, in which each `{socket}` is the path that it is to listen on (and to bind as it is), and each `{folder}` the folder of that; answers when it listens.
   * Nobody connects: a device serves one client, and that is the test's. @throws Error with its log when it ends first, or takes too long.
   */
  static async start(command: readonly string[], options: DaemonOptions = {}): Promise<DaemonProcess> {
    const began = performance.now();
    const daemon = new DaemonProcess(command, options);
    try {
      await daemon.#until(() => isListening(daemon.socket), `listened at ${daemon.socket}`, options.timeoutMs);
    } catch (error) {
      await daemon.remove();
      throw error;
    }
    daemon.readyMs = performance.now() - began;
    return daemon;
  }

  /** A client, of which there may be one at a time. */
  connect(): SocketTransport {
    return SocketTransport.connect(loadNative(), this.socket);
  }

  /** All that it has printed so far, on stdout and stderr. */
  get log(): string {
    return this.#lastLog ?? readFileSync(this.#logFile, 'utf8');
  }

  get running(): boolean {
    return this.#status === undefined;
  }

  /** Waits for something in the log. @throws Error with the log when the daemon ends first, or after `timeoutMs`. */
  logged(text: string | RegExp, timeoutMs?: number): Promise<void> {
    const says = typeof text === 'string' ? () => this.log.includes(text) : () => this.log.search(text) >= 0;
    return this.#until(says, `logged ${text}`, timeoutMs);
  }

  /** Sends a signal; one that has ended gets none. */
  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** SIGTERM, as people stop it: how it ended. @throws Error with the log, and it is killed, when it does not end. */
  async stop(timeoutMs: number = STOP_TIMEOUT_MS): Promise<ExitStatus> {
    const patience = new AbortController();
    const late = sleep(timeoutMs, true, { signal: patience.signal }).catch(() => false);
    this.signal('SIGTERM');
    const isLate = await Promise.race([this.exited.then(() => false), late]);
    patience.abort();
    if (!isLate) return this.exited;
    await this.kill();
    throw this.#error(`has not ended ${timeoutMs} ms after SIGTERM`);
  }

  /** SIGKILL: nothing of it is left but what the kernel has under way. */
  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.exited;
  }

  /** Kills it, if it runs, and removes the folder that was made for it. */
  async remove(): Promise<void> {
    await this.kill();
    if (this.#ownsFolder) rmSync(this.folder, { recursive: true, force: true, maxRetries: 3 });
  }

  /** `await using daemon = await DaemonProcess.start(...)` leaves nothing behind at the end of its block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.remove();
  }

  holdings(): Holdings {
    return holdingsOf(this.pid);
  }

  cpuNs(): number {
    return cpuNsOf(this.pid);
  }

  residentBytes(): number {
    return residentBytesOf(this.pid);
  }

  async #until(condition: () => boolean, what: string, timeoutMs: number = START_TIMEOUT_MS): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    while (!condition()) {
      if (!this.running) throw this.#error(`ended with ${this.#status} before it ${what}`);
      if (performance.now() > deadline) throw this.#error(`has not ${what} in ${timeoutMs} ms`);
      await sleep(2);
    }
  }

  /** One line, and what it printed. */
  #error(what: string): Error {
    return new Error(`${this.#command} ${what}\n${this.log}`.trimEnd());
  }
}
