import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LineSocket, Qmp, type QmpArguments, type QmpEvent } from '@sidecard/testing';
import { chooseAccelerator } from './accelerator.ts';
import { Agent, type CommandResult } from './agent.ts';
import { guestImage } from './image.ts';
import { type Channels, type GuestOptions, machineArguments, type VfioUserDevice, vfioUserDevice } from './machine.ts';
import { provision } from './provision.ts';

const logTitle = "The guest's log ends with:";

/** A Linux guest in QEMU. Every error says what the guest's console and QEMU printed last. */
export class Guest {
  readonly pid: number;
  /** Milliseconds from the start of QEMU to the agent's first word. */
  bootMs = 0;
  /** Resolves when QEMU has ended, however it ended. */
  readonly exited: Promise<void>;
  readonly #child: ChildProcess;
  readonly #agent: Agent;
  readonly #qmp: Qmp;
  readonly #folder: string;
  readonly #readyTimeoutMs: number;
  #bootsSeen = 0;
  #log = '';

  private constructor(child: ChildProcess, folder: string, agent: Agent, qmp: Qmp, readyTimeoutMs: number) {
    this.#child = child;
    this.pid = child.pid as number;
    this.#folder = folder;
    this.#agent = agent;
    this.#qmp = qmp;
    this.#readyTimeoutMs = readyTimeoutMs;
    const killNow = (): void => void child.kill('SIGKILL');
    process.once('exit', killNow);
    this.exited = new Promise((resolve) => {
      const ended = (how: string): void => {
        process.removeListener('exit', killNow);
        const error = this.#explain(`QEMU ended (${how})`);
        agent.close(error);
        qmp.close(error);
        this.#log = this.log;
        rmSync(folder, { recursive: true, force: true });
        resolve();
      };
      child.once('exit', (status, signal) => ended(signal ?? `status ${status}`));
      child.once('error', (error) => ended(error.message));
    });
  }

  /** Boots a guest and waits until it takes commands. */
  static async boot(options: GuestOptions = {}): Promise<Guest> {
    const guest = await Guest.start(options);
    try {
      await guest.ready();
    } catch (error) {
      await guest.kill();
      throw error;
    }
    return guest;
  }

  /** Starts QEMU and does not wait for the guest: ready() does. */
  static async start(options: GuestOptions = {}): Promise<Guest> {
    const provisioned = await provision(options.kernel);
    const image = await guestImage(provisioned);
    const accelerator = options.accelerator ?? (await chooseAccelerator());
    const folder = mkdtempSync(join(tmpdir(), 'sidecard-guest-'));
    const channels = channelsIn(folder);
    const agent = new Agent(await LineSocket.listen(channels.agent));
    const qmp = new Qmp(await LineSocket.listen(channels.qmp));
    const { command, env } = provisioned.qemu;
    const args = [...command.slice(1), ...machineArguments(options, image, channels, accelerator)];
    const stderr = openSync(join(folder, 'qemu.log'), 'a');
    const child = spawn(command[0] as string, args, {
      env: { ...process.env, ...env },
      stdio: options.interactive ? 'inherit' : ['ignore', stderr, stderr],
    });
    closeSync(stderr);
    return new Guest(child, folder, agent, qmp, options.readyTimeoutMs ?? 120_000);
  }

  /** Until the guest takes commands: after start(), and again after each reset or reboot. */
  async ready(timeoutMs = this.#readyTimeoutMs): Promise<void> {
    const started = performance.now();
    const next = this.#bootsSeen + 1;
    await this.#within(timeoutMs, `the guest is not up after ${timeoutMs / 1000} s`, this.#agent.booted(next));
    this.#bootsSeen = next;
    if (next === 1) this.bootMs = Math.round(performance.now() - started);
  }

  /** Runs a shell command in the guest. */
  async run(command: string, { timeoutMs = 60_000 } = {}): Promise<CommandResult> {
    try {
      return await this.#agent.run(command, timeoutMs);
    } catch (error) {
      const { message } = error as Error;
      throw message.includes(logTitle) ? error : this.#explain(message);
    }
  }

  /** Runs a shell command that must succeed; answers what it printed, without the last line's end. */
  async check(command: string, options: { timeoutMs?: number } = {}): Promise<string> {
    const { status, stdout } = await this.run(command, options);
    if (status !== 0) throw this.#explain(`in the guest: ${command}\nexit status ${status}: ${stdout}`);
    return stdout.trimEnd();
  }

  /** A command of QEMU's monitor. */
  qmp(command: string, args: QmpArguments = {}): Promise<unknown> {
    return this.#qmp.execute(command, args);
  }

  qmpEvent(name: string, matches?: (event: QmpEvent) => boolean): Promise<QmpEvent> {
    return this.#qmp.event(name, matches);
  }

  /** Hot-plugs a vfio-user device. */
  async plug(device: string | VfioUserDevice): Promise<void> {
    await this.#qmp.execute('device_add', vfioUserDevice(device));
  }

  /** Pulls the reset line, whatever the guest is doing, and waits until it is up again. */
  async reset(): Promise<void> {
    await this.qmp('system_reset');
    await this.ready();
  }

  /** Switches off, without asking the guest: nothing that it has not flushed is on a disk. */
  async stop(): Promise<void> {
    await Promise.race([this.qmp('quit').catch(() => {}), this.exited]);
    await this.exited;
  }

  /** SIGKILL, as the machine's memory running out would. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.exited;
  }

  /** What the console and QEMU itself have printed so far. */
  get log(): string {
    return this.#log || readLog(this.#folder, 'console.log') + readLog(this.#folder, 'qemu.log');
  }

  async #within<T>(timeoutMs: number, complaint: string, work: Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(this.#explain(complaint)), timeoutMs);
    });
    return Promise.race([work, late]).finally(() => clearTimeout(timer));
  }

  #explain(complaint: string): Error {
    const tail = this.log.split('\n').slice(-30).join('\n').trim();
    return new Error(tail === '' ? complaint : `${complaint}\n${logTitle}\n${tail}`);
  }
}

function channelsIn(folder: string): Channels {
  return { agent: join(folder, 'agent'), qmp: join(folder, 'qmp'), console: join(folder, 'console.log') };
}

function readLog(folder: string, name: string): string {
  try {
    return readFileSync(join(folder, name), 'utf8');
  } catch {
    return '';
  }
}
