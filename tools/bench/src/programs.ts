import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const sources = path.join(import.meta.dirname, '..', 'src', 'c');

/** A folder for images and the C programs, gone when the process ends. */
export const workFolder = mkdtempSync(path.join(tmpdir(), 'sidecard-bench-'));
process.on('exit', () => rmSync(workFolder, { recursive: true, force: true }));

const compiled = new Map<string, Promise<string>>();

/** Path of a C program of ./c, compiled on first use. */
export function program(name: 'echo-server' | 'round-trip' | 'nvme-driver'): Promise<string> {
  let ready = compiled.get(name);
  if (!ready) {
    const binary = path.join(workFolder, name);
    ready = run('cc', ['-O2', '-o', binary, path.join(sources, `${name}.c`)]).then(() => binary);
    compiled.set(name, ready);
  }
  return ready;
}

/** Runs a C program to its end and reads the JSON object that it prints. */
export async function measure<T>(name: 'round-trip' | 'nvme-driver', args: readonly (string | number)[]): Promise<T> {
  const { stdout } = await run(await program(name), args.map(String));
  return JSON.parse(stdout) as T;
}
