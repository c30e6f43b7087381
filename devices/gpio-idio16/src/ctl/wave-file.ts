import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { UsageError } from '@sidecard/daemon';
import { inputNames, type Levels } from '../lines.ts';
import type { WaveStep } from '../waves.ts';

/** Reads a wave. @throws UsageError where it is none, with the line. */
export async function readWave(file: string): Promise<WaveStep[]> {
  const name = file === '-' ? 'stdin' : file;
  const lines = (file === '-' ? await text(process.stdin) : await readFile(file, 'utf8').catch(unreadable)).split(
    /\r?\n/,
  );
  return parseWave(name, lines);

  function unreadable(error: NodeJS.ErrnoException): never {
    throw new UsageError(`${file} cannot be read: ${error.code === 'ENOENT' ? 'no such file' : error.message}`);
  }
}

export function parseWave(name: string, lines: readonly string[]): WaveStep[] {
  const steps: WaveStep[] = [];
  let inputs: string[] | null = null;
  for (const [index, line] of lines.entries()) {
    const wrong = (reason: string) => new UsageError(`${name}, line ${index + 1}: ${reason}`);
    if (line.trim() === '' || line.startsWith('#')) continue;
    const cells = line.split(',').map((cell) => cell.trim());
    if (inputs === null) {
      inputs = header(cells, wrong);
      continue;
    }
    if (cells.length !== inputs.length + 1)
      throw wrong(`${cells.length} columns, and the first line has ${inputs.length + 1}`);
    const step = { ms: time(cells[0]!, steps.at(-1)?.ms ?? 0, wrong), inputs: levels(inputs, cells.slice(1), wrong) };
    if (Object.keys(step.inputs).length > 0) steps.push(step);
  }
  if (steps.length === 0) throw new UsageError(`${name} has no steps`);
  return steps;
}

type Wrong = (reason: string) => UsageError;

function header([time, ...columns]: readonly string[], wrong: Wrong): string[] {
  if (time !== 'ms') throw wrong("the first column is 'ms'");
  const inputs = columns.map((column) => column.toUpperCase());
  for (const [index, input] of inputs.entries()) {
    if (!inputNames.includes(input)) throw wrong(`there is no input '${columns[index]}'`);
    if (inputs.indexOf(input) !== index) throw wrong(`${input} is there twice`);
  }
  if (inputs.length === 0) throw wrong('there is no input');
  return inputs;
}

function time(cell: string, before: number, wrong: Wrong): number {
  if (!/^\d+(\.\d+)?$/.test(cell)) throw wrong(`'${cell}' is no time in milliseconds`);
  const ms = Number(cell);
  if (ms < before) throw wrong(`${cell} is before ${before}`);
  return ms;
}

function levels(inputs: readonly string[], cells: readonly string[], wrong: Wrong): Levels {
  const chosen: { [name: string]: 0 | 1 } = {};
  for (const [index, cell] of cells.entries()) {
    if (cell === '') continue;
    if (cell !== '0' && cell !== '1') throw wrong(`'${cell}' is no level (0, 1, or nothing)`);
    chosen[inputs[index]!] = cell === '1' ? 1 : 0;
  }
  return chosen;
}
