import { type ControlClient, openControl, type Tool, UsageError } from '@sidecard/daemon';
import { inputNames, type Levels, outputNames } from '../lines.ts';
import { readWave } from './wave-file.ts';
import { playWave } from './wave-player.ts';

const names = [...outputNames, ...inputNames];

export const commands: Tool['commands'] = (program) => {
  program.option('--control <path>', 'control socket of the daemon (or SIDECARD_CONTROL in the environment)');
  /** Runs a command with a connection, which is closed after it. */
  const connected =
    <Args extends unknown[]>(run: (client: ControlClient, ...args: Args) => Promise<void>) =>
    async (...args: Args) => {
      const path = program.opts<{ control?: string }>().control ?? process.env.SIDECARD_CONTROL;
      if (path === undefined || path === '') throw new UsageError('--control <path> is required');
      const client = await openControl(path);
      try {
        await run(client, ...args);
      } finally {
        client.close();
      }
    };
  program
    .command('get')
    .argument('[lines...]', 'OUT0 to OUT15, IN0 to IN15; all of them unless told')
    .description('print levels')
    .action(connected((client, lines: string[]) => get(client, lines.map(lineName))));
  program
    .command('set')
    .argument('<line=level...>', 'for instance IN3=1 IN4=0, or all=0')
    .description('set inputs, all at the same moment')
    .action(
      connected(async (client, settings: string[]) => void (await client.patch('/inputs', levelsFrom(settings)))),
    );
  program
    .command('pulse')
    .argument('<inputs...>')
    .option('--ms <time>', 'how long', '10')
    .description('turn inputs over for a time, and wait until that is over')
    .action(connected((client, inputs: string[], { ms }: { ms: string }) => pulse(client, inputs.map(inputName), ms)));
  program
    .command('watch')
    .description('print changes as they come: milliseconds since the first line, and what has changed')
    .action(connected(watch));
  program
    .command('wave')
    .argument(
      '<file>',
      "CSV: a line 'ms,IN0,IN3', then times and levels, '2.5,1,0'; an empty level leaves the input as it is; - is stdin",
    )
    .description('set inputs at the times in a file')
    .action(connected(async (client, file: string) => playWave(client, await readWave(file))));
};

async function get(client: ControlClient, lines: readonly string[]): Promise<void> {
  const [outputs, inputs] = await Promise.all([client.get('/outputs'), client.get('/inputs')]);
  const levels = { ...(outputs as Levels), ...(inputs as Levels) };
  for (const name of lines.length === 0 ? names : lines) console.log(`${name}=${levels[name]}`);
}

async function pulse(client: ControlClient, inputs: readonly string[], time: string): Promise<void> {
  const ms = Number(time);
  if (!(ms >= 1 && ms <= 60_000)) throw new UsageError(`--ms ${time}: 1 to 60000`);
  await client.post('/inputs/pulse', { inputs: [...new Set(inputs)], ms });
}

async function watch(client: ControlClient): Promise<void> {
  let startMs: number | null = null;
  const print = (atMs: number, levels: Levels) => {
    startMs ??= atMs;
    const texts = Object.entries(levels).map(([name, level]) => `${name}=${level}`);
    console.log(`${(atMs - startMs).toFixed(3)} ${texts.join(' ')}`);
  };
  for await (const { event, data } of client.events('/changes')) {
    if (event === 'missed') console.error(`${(data as { changes: number }).changes} changes were missed; all lines:`);
    const { atMs, changed, outputs, inputs } = data as {
      atMs: number;
      changed?: Levels;
      outputs: Levels;
      inputs: Levels;
    };
    if (event === 'state') print(atMs, { ...outputs, ...inputs });
    if (event === 'change') print(atMs, changed!);
  }
  throw new Error('the daemon has gone');
}

function levelsFrom(settings: readonly string[]): Levels {
  const levels: { [name: string]: 0 | 1 } = {};
  for (const setting of settings) {
    const [, line = '', level] = /^([^=]*)=([01])$/.exec(setting) ?? [];
    if (level === undefined) throw new UsageError(`${setting} is no setting: IN3=1, IN3=0, all=0`);
    const chosen = line.toLowerCase() === 'all' ? inputNames : [inputName(line)];
    for (const name of chosen) levels[name] = level === '1' ? 1 : 0;
  }
  return levels;
}

function lineName(text: string): string {
  const name = text.toUpperCase();
  if (!names.includes(name)) throw new UsageError(`there is no line ${text}: OUT0 to OUT15, IN0 to IN15`);
  return name;
}

function inputName(text: string): string {
  const name = lineName(text);
  if (!inputNames.includes(name)) throw new UsageError(`${name} is an output, and the guest's to set`);
  return name;
}
