import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadNative } from '@sidecard/native';
import { SocketTransport, VfioUserClient } from '@sidecard/testing';

/** What a process holds that a client may have left behind. */
export interface Holdings {
  /** Open descriptors, by what they are. */
  readonly fds: readonly string[];
  /** Mappings of files and memory files, by name. */
  readonly maps: readonly string[];
}

/** An exerciser served by a process of its own. */
export class ExerciserDaemon {
  readonly path: string;
  readonly pid: number;
  readonly #process: ChildProcess;
  readonly #folder: string;
  #errors = '';

  private constructor(child: ChildProcess, folder: string) {
    this.#process = child;
    this.#folder = folder;
    this.path = join(folder, 's');
    this.pid = child.pid!;
    child.stderr!.on('data', (text) => {
      this.#errors += text;
    });
  }

  static async start(drainMs = 4000): Promise<ExerciserDaemon> {
    const folder = mkdtempSync(join(tmpdir(), 'exerciser-'));
    const script = fileURLToPath(new URL('./serve.ts', import.meta.url));
    const execArgv = ['--conditions=@sidecard/source', '--disable-warning=ExperimentalWarning'];
    const child = fork(script, [join(folder, 's'), String(drainMs)], {
      execArgv,
      stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
    });
    const daemon = new ExerciserDaemon(child, folder);
    const ended = once(child, 'exit').then(() => {
      throw new Error(`the daemon did not start: ${daemon.errors}`);
    });
    await Promise.race([once(child, 'message'), ended]);
    return daemon;
  }

  /** What it has written to stderr: nothing, where all is well. */
  get errors(): string {
    return this.#errors;
  }

  get running(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  transport(): SocketTransport {
    return SocketTransport.connect(loadNative(), this.path);
  }

  /** A client that has not negotiated yet. */
  client(): VfioUserClient {
    return new VfioUserClient(this.transport());
  }

  holdings(): Holdings {
    const folder = `/proc/${this.pid}/fd`;
    const fds = readdirSync(folder).map((fd) => describe(join(folder, fd)));
    const maps = readFileSync(`/proc/${this.pid}/maps`, 'utf8')
      .split('\n')
      .filter((line) => line.includes(' /'))
      .map((line) => line.slice(line.indexOf(' /') + 1));
    return { fds: fds.sort(), maps: maps.sort() };
  }

  async stop(): Promise<void> {
    if (this.running) {
      const exit = once(this.#process, 'exit');
      this.#process.kill('SIGTERM');
      this.#process.disconnect();
      await exit;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function describe(link: string): string {
  try {
    return readlinkSync(link).replace(/\d+/g, 'N');
  } catch {
    return 'closed meanwhile';
  }
}
