import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type ControlClient, openControl } from '@sidecard/daemon';
import { loadNative } from '@sidecard/native';
import {
  GuestRam,
  Idio16Driver,
  PciBus,
  qemuOffer,
  SocketTransport,
  VfioUserClient,
  VfioUserPort,
} from '@sidecard/testing';

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The program as people run it, from its sources. */
export class Program {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  stdout = '';
  stderr = '';

  constructor(args: readonly string[], options: { cwd?: string; env?: object; input?: string } = {}) {
    const env = { ...process.env, ...options.env };
    this.child = spawn(process.execPath, ['--conditions=@sidecard/source', main, ...args], { cwd: options.cwd, env });
    this.child.stdout!.on('data', (data) => {
      this.stdout += data;
    });
    this.child.stderr!.on('data', (data) => {
      this.stderr += data;
    });
    // A run of tests that is broken off leaves nothing behind.
    const kill = () => void this.child.kill('SIGKILL');
    process.once('exit', kill);
    this.child.once('exit', () => process.removeListener('exit', kill));
    this.child.stdin!.on('error', () => {});
    this.child.stdin!.end(options.input);
    this.ended = once(this.child, 'close').then(([code]) => ({
      code: code as number | null,
      stdout: this.stdout,
      stderr: this.stderr,
    }));
  }
}

/** A card as a daemon with a control socket, and what may be at both of its ends. */
export class GpioDaemon {
  readonly folder = mkdtempSync(join(tmpdir(), 'gpio-'));
  readonly socket = join(this.folder, 'gpio.sock');
  readonly controlPath = join(this.folder, 'control.sock');
  readonly program: Program;
  control!: ControlClient;
  #guest: VfioUserPort | null = null;

  private constructor(options: readonly string[]) {
    this.program = new Program(['--socket', this.socket, '--control', this.controlPath, ...options]);
  }

  static async start(...options: readonly string[]): Promise<GpioDaemon> {
    const daemon = new GpioDaemon(options);
    for (let tries = 0; !existsSync(daemon.socket); tries++) {
      if (tries > 1000 || daemon.program.child.exitCode !== null) throw new Error(daemon.program.stderr);
      await setTimeout(10);
    }
    daemon.control = await openControl(daemon.controlPath);
    await daemon.control.get('/device');
    return daemon;
  }

  /** A guest whose driver has probed the card. The one before it is gone. */
  guest(): Idio16Driver {
    this.#guest?.close();
    const native = loadNative();
    const client = new VfioUserClient(SocketTransport.connect(native, this.socket));
    client.version(qemuOffer);
    const port = new VfioUserPort(native, client, GuestRam.private());
    this.#guest = port;
    const driver = new Idio16Driver(new PciBus().add(port));
    driver.probe();
    return driver;
  }

  ctl(args: readonly string[], input = ''): Promise<Ended> {
    return new Program(['ctl', ...args], { env: { SIDECARD_CONTROL: this.controlPath }, input }).ended;
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<Ended> {
    this.control.close();
    this.#guest?.close();
    this.program.child.kill(signal);
    return this.program.ended;
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
