import { join } from 'node:path';
import { type ControlClient, openControl } from '@sidecard/daemon';
import { loadNative } from '@sidecard/native';
import {
  DaemonProcess,
  type Ended,
  type ExitStatus,
  fromSource,
  GuestRam,
  Idio16Driver,
  PciBus,
  Program,
  type ProgramOptions,
  qemuOffer,
  VfioUserClient,
  VfioUserPort,
} from '@sidecard/testing';

export const main = new URL('../src/main.ts', import.meta.url);

/** The program as people run it, from its sources. */
export function run(args: readonly string[], options: ProgramOptions = {}): Program {
  return new Program(fromSource(main, ...args), options);
}

/** A card as a daemon with a control socket, and what may be at both of its ends. */
export class GpioDaemon {
  readonly process: DaemonProcess;
  readonly folder: string;
  readonly socket: string;
  readonly controlPath: string;
  readonly control: ControlClient;
  #guest: VfioUserPort | null = null;

  private constructor(process: DaemonProcess, controlPath: string, control: ControlClient) {
    this.process = process;
    this.folder = process.folder;
    this.socket = process.socket;
    this.controlPath = controlPath;
    this.control = control;
  }

  static async start(...options: readonly string[]): Promise<GpioDaemon> {
    const args = ['--socket', '{socket}', '--control', '{folder}/control.sock', ...options];
    const process = await DaemonProcess.start(fromSource(main, ...args));
    const controlPath = join(process.folder, 'control.sock');
    const control = await openControl(controlPath);
    await control.get('/device');
    return new GpioDaemon(process, controlPath, control);
  }

  /** A guest whose driver has probed the card. The one before it is gone. */
  guest(): Idio16Driver {
    this.#guest?.close();
    const client = new VfioUserClient(this.process.connect());
    client.version(qemuOffer);
    const port = new VfioUserPort(loadNative(), client, GuestRam.private());
    this.#guest = port;
    const driver = new Idio16Driver(new PciBus().add(port));
    driver.probe();
    return driver;
  }

  ctl(args: readonly string[], input = ''): Promise<Ended> {
    return run(['ctl', ...args], { env: { SIDECARD_CONTROL: this.controlPath }, input }).ended;
  }

  /** Everybody hangs up, and it is asked to end: how it did. */
  async stop(): Promise<ExitStatus> {
    this.control.close();
    this.#guest?.close();
    return this.process.stop();
  }

  remove(): Promise<void> {
    return this.process.remove();
  }
}
