import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ControlClient, openControl } from '@sidecard/daemon';
import { DeviceProcess, type Guest } from '@sidecard/guest';

export interface Levels {
  readonly [line: string]: 0 | 1;
}

/** A GPIO card as a daemon, and the world's end of its lines. */
export class GpioCard {
  readonly device: DeviceProcess;
  readonly control: ControlClient;
  readonly controlPath: string;
  readonly #folder: string;
  #killed = false;

  private constructor(folder: string, controlPath: string, device: DeviceProcess, control: ControlClient) {
    this.#folder = folder;
    this.controlPath = controlPath;
    this.device = device;
    this.control = control;
  }

  static async start(...args: readonly string[]): Promise<GpioCard> {
    const folder = mkdtempSync(join(tmpdir(), 'sidecard-gpio-'));
    const controlPath = join(folder, 'control.sock');
    try {
      const all = ['--control', controlPath, ...args];
      const device = await DeviceProcess.start('sidecard-gpio-idio16', join(folder, 'gpio.sock'), all);
      return new GpioCard(folder, controlPath, device, await openControl(controlPath));
    } catch (error) {
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** What a test that failed wants to see beside its own error. */
  showLog(): void {
    console.error(`sidecard-gpio-idio16 logged last:\n${this.device.log.split('\n').slice(-30).join('\n')}`);
  }

  async set(inputs: Levels): Promise<void> {
    await this.control.patch('/inputs', inputs);
  }

  /** Bit n is output n. */
  async outputs(): Promise<number> {
    return bitsOf('OUT', (await this.control.get('/outputs')) as Levels);
  }

  /** Bit n is input n. */
  async inputs(): Promise<number> {
    return bitsOf('IN', (await this.control.get('/inputs')) as Levels);
  }

  /** A counter of GET /metrics. */
  async counter(name: string): Promise<number> {
    const text = (await this.control.get('/metrics')) as string;
    return Number(new RegExp(`^${name} (.*)$`, 'm').exec(text)?.[1]);
  }

  /** What the outputs and inputs do, from now on, until so many changes have come. */
  async changes(count: number, during: () => Promise<unknown>): Promise<Levels[]> {
    const changes: Levels[] = [];
    let done: Promise<unknown> | null = null;
    for await (const { event, data } of this.control.events('/changes')) {
      if (event === 'state') done ??= during();
      if (event === 'change') changes.push((data as { changed: Levels }).changed);
      if (changes.length >= count) break;
    }
    await done;
    return changes;
  }

  /** Ends the daemon, which must have survived everything so far and must end cleanly, unless it was killed. */
  async stop(): Promise<void> {
    if (this.#killed) return;
    const survived = this.device.running;
    const status = await this.#end();
    if (!survived || status !== 0) throw new Error(`sidecard-gpio-idio16 ended with ${status}:\n${this.device.log}`);
  }

  /** SIGKILL, as the machine's memory running out would. */
  async kill(): Promise<void> {
    this.#killed = true;
    await this.device.kill();
    await this.#end();
  }

  async #end(): Promise<number | string> {
    this.control.close();
    try {
      return await this.device.stop();
    } finally {
      rmSync(this.#folder, { recursive: true, force: true });
    }
  }
}

function bitsOf(prefix: string, levels: Levels): number {
  let bits = 0;
  for (let line = 0; line < 16; line++) bits |= levels[`${prefix}${line}`]! << line;
  return bits;
}

/** All inputs, as Linux names them. */
export const allInputs = Array.from({ length: 16 }, (_, line) => `IIN${line}`);

/**
 * Has Linux map the interrupts of all inputs: 6.12 tells all 16 of each change, and ends with an oops at the first that it has not mapped. Nothing may
 * change at the inputs meanwhile.
 */
export async function mapInputs(guest: Guest, chip: string): Promise<void> {
  await guest.check(`gpiomon --quiet --idle-timeout 1ms -c ${chip} ${allInputs.join(' ')}`);
}
