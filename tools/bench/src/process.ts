import path from 'node:path';
import { DaemonProcess } from '@sidecard/testing';

const root = path.join(import.meta.dirname, '..', '..', '..');
const daemonBinary = path.join(root, 'node_modules', '.bin', 'sidecard-nvme');
/** What that shim runs, for benchmarks that want flags of Node. */
const daemonScript = path.join(root, 'devices', 'nvme', 'bin', 'main.js');

export interface StartOptions {
  /** Which it may use, as taskset takes them. */
  readonly cpus?: string | undefined;
}

/** Starts a server under test, in whose command `{socket}` is the path that it is to listen on. */
export function startServer(command: readonly string[], { cpus }: StartOptions = {}): Promise<DaemonProcess> {
  return DaemonProcess.start(cpus === undefined ? command : ['taskset', '-c', cpus, ...command]);
}

/** Starts sidecard-nvme. */
export function startNvme(
  args: readonly string[],
  { nodeFlags, ...options }: StartOptions & { nodeFlags?: readonly string[] } = {},
): Promise<DaemonProcess> {
  const command = nodeFlags ? [process.execPath, ...nodeFlags, daemonScript] : [daemonBinary];
  return startServer([...command, '--socket', '{socket}', '--log-level', 'warn', ...args], options);
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
}
