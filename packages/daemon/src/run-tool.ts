import { writeSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { exitCode, oneLine, UsageError } from './errors.ts';

export interface Tool {
  readonly name: string;
  readonly description: string;
  readonly version: string;
  /** Adds options and subcommands, whose actions do the work. */
  commands(program: Command): void;
}

/** Runs a command for people and scripts. Ends the process: 0, 1 for a failure, 2 for usage, each with one line on stderr. */
export async function runTool(tool: Tool, args: readonly string[]): Promise<void> {
  // Whoever reads what is printed may stop reading (head): that is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
  try {
    await run(tool, args);
  } catch (error) {
    console.error(`${tool.name}: ${oneLine(error)}`);
    process.exitCode = exitCode(error);
  }
}

async function run(tool: Tool, args: readonly string[]): Promise<void> {
  const program = new Command(tool.name)
    .description(tool.description)
    .version(tool.version, '--version', 'print the version and exit')
    .helpOption('--help', 'print this help and exit')
    .helpCommand(false)
    .exitOverride()
    .configureOutput({ writeOut: (text) => void writeSync(1, text), writeErr: () => {} });
  tool.commands(program);
  if (args.length === 0) throw new UsageError('a command is missing (--help lists them)');
  try {
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return;
    const message = error.message.startsWith('(') ? 'a command is missing' : error.message.replace(/^error: /, '');
    throw new UsageError(`${message} (--help lists the commands)`);
  }
}
