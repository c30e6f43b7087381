import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadNative } from '@sidecard/native';
import { SocketTransport } from '@sidecard/testing';

/** A sidecard-nvme as people run it, from its sources: a process, a socket, an image file. */
export class NvmeDaemon {
  readonly folder: string;
  readonly socket: string;
  readonly image: string;
  readonly #process: ChildProcess;
  #log = '';

  private constructor(folder: string, options: readonly string[]) {
    this.folder = folder;
    this.socket = join(folder, 'nvme.sock');
    this.image = join(folder, 'disk.img');
    const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));
    const args = ['--conditions=@sidecard/source', main, '--socket', this.socket];
    args.push(...options.map((option) => option.replace('IMAGE', this.image).replace('FOLDER', folder)));
    this.#process = spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'pipe'] });
    this.#process.stderr!.on('data', (text) => {
      this.#log += text;
    });
  }

  /** `IMAGE` in `drive` is the path of the image. */
  static async start(drive: string, ...options: readonly string[]): Promise<NvmeDaemon> {
    return NvmeDaemon.startIn(mkdtempSync(join(tmpdir(), 'nvme-')), '--drive', drive, ...options);
  }

  /** In a folder where another may have been before; `FOLDER` in an option is its path. */
  static async startIn(folder: string, ...options: readonly string[]): Promise<NvmeDaemon> {
    const daemon = new NvmeDaemon(folder, options);
    for (let tries = 0; ; tries++) {
      try {
        daemon.connect().close();
        return daemon;
      } catch (error) {
        if (tries > 1000 || !daemon.running) throw new Error(`sidecard-nvme: ${daemon.log}`, { cause: error });
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    }
  }

  get log(): string {
    return this.#log;
  }

  get running(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  connect(): SocketTransport {
    return SocketTransport.connect(loadNative(), this.socket);
  }

  /** Descriptors and file mappings, by what they are. */
  holdings(): { fds: string[]; maps: string[] } {
    const fds = readdirSync(`/proc/${this.#process.pid}/fd`).flatMap((fd) => {
      try {
        return [readlinkSync(`/proc/${this.#process.pid}/fd/${fd}`).replace(/\d+/g, 'N')];
      } catch {
        return [];
      }
    });
    const maps = readFileSync(`/proc/${this.#process.pid}/maps`, 'utf8').split('\n');
    const files = maps.filter((line) => line.includes(' /')).map((line) => line.slice(line.indexOf(' /') + 1));
    return { fds: fds.sort(), maps: files.sort() };
  }

  /** SIGKILL: nothing of it is left but what the kernel has under way. */
  async kill(): Promise<void> {
    if (!this.running) return;
    this.#process.kill('SIGKILL');
    await once(this.#process, 'exit');
  }

  /** SIGHUP: it looks at its drives again. */
  reload(): void {
    this.#process.kill('SIGHUP');
  }

  /** SIGTERM, as people stop it; its exit code. */
  async stop(): Promise<number | null> {
    if (this.running) {
      this.#process.kill('SIGTERM');
      await once(this.#process, 'exit');
    }
    return this.#process.exitCode;
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
