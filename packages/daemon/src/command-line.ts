import { type PollMode, pollModes } from '@sidecard/core';
import { Command, CommanderError, Option } from 'commander';
import { UsageError } from './errors.ts';
import type { PanelPage } from './panel/panel-page.ts';

export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

const pollHelp =
  'look on for a while before sleeping (adaptive), take a processor for this device alone (dedicated, also --poll without a word), or sleep at once (never)';

const panelHelp =
  'serve a panel for browsers at a port of this machine (or ADDRESS:PORT); the log names its address and token, 0 takes any port';

/** What every daemon is asked for. */
export interface CommonOptions {
  readonly socket?: string;
  /** Path of the control socket; without one there is none. */
  readonly control?: string;
  /** Port or address of the panel, of a device that has one. */
  readonly panel?: string;
  readonly logLevel: LogLevel;
  readonly poll: PollMode;
}

export interface CommandLine {
  readonly name: string;
  readonly description: string;
  readonly version: string;
  /** The device's page for browsers, with --panel. */
  readonly panel?: PanelPage;
  /** Adds what this daemon alone has. */
  options?(program: Command): void;
}

/** Where answers to --help and --version go. */
export type Print = (text: string) => void;

/**
 * Reads the arguments after the program's name.
 * @returns null when --help or --version has been answered.
 * @throws UsageError
 */
export function parseCommandLine<Options>(
  line: CommandLine,
  args: readonly string[],
  print: Print,
): (CommonOptions & Options) | null {
  const program = new Command(line.name)
    .description(line.description)
    .version(line.version, '--version', 'print the version and exit')
    .helpOption('--help', 'print this help and exit')
    .option('--socket <path>', 'UNIX socket to serve on; left out with socket activation (LISTEN_FDS)')
    .option('--control <path>', 'UNIX socket for an HTTP API of the device (GET /device, /metrics, /openapi.json)')
    .addOption(new Option('--log-level <level>', 'least level logged, on stderr').choices(logLevels).default('info'))
    .addOption(new Option('--poll [how]', pollHelp).choices(pollModes).preset('dedicated').default('adaptive'))
    .allowExcessArguments(false)
    .exitOverride()
    .configureOutput({ writeOut: print, writeErr: () => {} });
  if (line.panel !== undefined) program.option('--panel <port>', panelHelp);
  line.options?.(program);
  try {
    program.parse(args, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return null;
    throw new UsageError(`${error.message.replace(/^error: /, '')} (--help lists the options)`);
  }
  return program.opts<CommonOptions & Options>();
}
