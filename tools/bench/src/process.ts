import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { workFolder } from './programs.ts';

const root = path.join(import.meta.dirname, '..', '..', '..');
const daemonBinary = path.join(root, 'node_modules', '.bin', 'sidecard-nvme');
/** What that shim runs, for benchmarks that want flags of Node. */
const daemonScript = path.join(root, 'devices', 'nvme', 'bin', 'main.js');
let sockets = 0;

export interface StartOptions {
  /** Which it may use, as taskset takes them. */
  readonly cpus?: string;
  /** Ready when a connection is taken, not when the socket is there; ends a server for one client. */
  readonly probe?: boolean;
}

/** A server under test: a child process that listens on a socket. */
export class ServerProcess {
  readonly socket: string;
  readonly child: ChildProcess;
  output = '';
  /** From the start of the process until its socket took a connection or, where that would end it, was there; ms. */
  readyMs = 0;

  private constructor(socket: string, child: ChildProcess) {
    this.socket = socket;
    this.child = child;
    child.stdout?.on('data', (text) => (this.output += text));
    child.stderr?.on('data', (text) => (this.output += text));
  }

  /** `command` gets the socket's path for each SOCKET in it. */
  static async start(command: readonly string[], { cpus, probe = false }: StartOptions = {}): Promise<ServerProcess> {
    const socket = path.join(workFolder, `${sockets++}.sock`);
    const words = command.map((word) => (word === 'SOCKET' ? socket : word));
    const [file, ...args] = cpus === undefined ? words : ['taskset', '-c', cpus, ...words];
    const began = performance.now();
    const child = spawn(file!, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const server = new ServerProcess(socket, child);
    while (!(probe ? await connects(socket) : existsSync(socket))) {
      if (child.exitCode !== null) throw new Error(`${words.join(' ')} ended: ${server.output}`);
      if (performance.now() - began > 20_000) throw new Error(`${words.join(' ')} made no socket`);
      await sleep(2);
    }
    server.readyMs = performance.now() - began;
    return server;
  }

  get pid(): number {
    return this.child.pid!;
  }

  /** Time on a CPU of all its threads so far, ns (proc(5), schedstat). */
  cpuNs(): number {
    let sum = 0;
    for (const thread of readdirSync(`/proc/${this.pid}/task`))
      sum += Number(readFileSync(`/proc/${this.pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]);
    return sum;
  }

  /** Resident memory, MiB. */
  rssMib(): number {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8'))![1]) / 1024;
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.kill('SIGTERM');
    await once(this.child, 'exit');
  }
}

function connects(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = createConnection(socket);
    connection.on('connect', () => {
      connection.destroy();
      resolve(true);
    });
    connection.on('error', () => resolve(false));
  });
}

/** Starts sidecard-nvme. */
export function startNvme(
  args: readonly string[],
  { nodeFlags, ...options }: StartOptions & { nodeFlags?: readonly string[] } = {},
): Promise<ServerProcess> {
  const command = nodeFlags ? [process.execPath, ...nodeFlags, daemonScript] : [daemonBinary];
  return ServerProcess.start([...command, '--socket', 'SOCKET', '--log-level', 'warn', ...args], options);
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
}
