import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ControlClient, openControl } from '@sidecard/daemon';
import { type Guest, startDevice } from '@sidecard/guest';
import type { DaemonProcess } from '@sidecard/testing';

export interface Levels {
  readonly [line: string]: 0 | 1;
}

/** A GPIO card as a daemon, and the world's end of its lines. */
export class GpioCard {
  readonly device: DaemonProcess;
  readonly control: ControlClient;
  readonly controlPath: string;
  #killed = false;

  private constructor(device: DaemonProcess, controlPath: string, control: ControlClient) {
    this.device = device;
    this.controlPath = controlPath;
    this.control = control;
  }

  static async start(...args: readonly string[]): Promise<GpioCard> {
    const device = await startDevice('sidecard-gpio-idio16', ['--control', '{folder}/control.sock', ...args]);
    const controlPath = join(device.folder, 'control.sock');
    return new GpioCard(device, controlPath, await openControl(controlPath));
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

  /** Waits until the guest has served the interrupt, if there is one. */
  async served(): Promise<void> {
    type Card = { readonly interrupts: { readonly asserted: boolean } };
    while (((await this.control.get('/card')) as Card).interrupts.asserted) await sleep(1);
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
    const survived = this.device.running;
    this.control.close();
    const status = await this.device.stop();
    await this.device.remove();
    if (this.#killed || (survived && status === 0)) return;
    throw new Error(`sidecard-gpio-idio16 ended with ${status}:\n${this.device.log}`);
  }

  /** SIGKILL, as the machine's memory running out would. */
  async kill(): Promise<void> {
    this.#killed = true;
    await this.device.kill();
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
