import { readFileSync, writeSync } from 'node:fs';
import { type Host, type PciDevice, type Server, serve } from '@sidecard/core';
import { loadNative, type Native } from '@sidecard/native';
import { type CommandLine, type CommonOptions, parseCommandLine } from './command-line.ts';
import type { DeviceControl } from './control/route.ts';
import { exitCode, oneLine } from './errors.ts';
import { listenAt } from './listen-at.ts';
import { createLogger } from './logger.ts';
import { Outside } from './outside.ts';
import { Signals } from './signals.ts';
import { tuneCompiler } from './tuning.ts';

/** What a device gets besides its host. */
export interface DaemonContext {
  readonly native: Native;
  /** Tells this daemon from others on the machine, the same after a restart: its socket's path. */
  readonly instance: string;
}

export interface DaemonOptions<Options, Device extends PciDevice> extends CommandLine {
  /**
   * Checks the arguments, and answers what makes the device. Both throw Errors of one line; `kind: 'usage'` among their properties is a mistake
   * at the command line.
   */
  create(args: Options & CommonOptions, context: DaemonContext): (host: Host) => Device;
  /** What the device adds to the control socket, where one is asked for. */
  control?(device: Device): DeviceControl;
}

/**
 * Runs a device as a daemon until SIGTERM or SIGINT, which drain and flush it and remove its socket; the second one ends it at once. SIGHUP has it
 * look again at what it stands on.
 * Ends the process: 0, 1 for a failure, 2 for usage.
 */
export async function runDaemon<Options, Device extends PciDevice = PciDevice>(
  daemon: DaemonOptions<Options, Device>,
): Promise<void> {
  tuneCompiler();
  try {
    await start(daemon);
  } catch (error) {
    complain(`${daemon.name}: ${oneLine(error)}`);
    if (process.env.SIDECARD_DEBUG !== undefined && error instanceof Error) complain(`${error.stack}`);
    process.exit(exitCode(error));
  }
}

function complain(text: string): void {
  try {
    writeSync(2, `${text}\n`);
  } catch {
    // Nobody reads it; the exit code tells.
  }
}

async function start<Options, Device extends PciDevice>(daemon: DaemonOptions<Options, Device>): Promise<void> {
  const args = parseCommandLine<Options>(daemon, process.argv.slice(2), (text) => writeSync(1, text));
  if (args === null) return;
  const at = listenAt(args.socket, process.env, process.pid);
  const instance = 'socketPath' in at ? at.socketPath : `fd ${at.listenFd}`;
  const native = loadNative();
  const create = daemon.create(args, { native, instance });
  const log = await createLogger(daemon.name, args.logLevel, native);
  const signals = new Signals(log);
  const outside = new Outside(native, args);
  let device: Device | null = null;
  const server = await serve({ at, log, native, poll: args.poll }, (host) => {
    device = create(host);
    return device;
  }).catch((error: unknown) => {
    outside.close();
    throw error;
  });
  log.info({ socket: instance, version: daemon.version }, 'serving');
  signals.serve({ ...server, close: () => closeBoth(outside, server) });
  const { name, version, description } = daemon;
  const control = () => daemon.control?.(device!) ?? { routes: [] };
  await outside.serve({ name, version, description, instance }, server, { control, page: daemon.panel }, log);
}

async function closeBoth(outside: Outside, server: Server): Promise<void> {
  outside.close();
  await server.close();
}

/** The version in the package.json above the folder of `moduleUrl` (import.meta.url of a file in src or dist). */
export function packageVersion(moduleUrl: string): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../package.json', moduleUrl), 'utf8'));
  return (manifest as { version: string }).version;
}
