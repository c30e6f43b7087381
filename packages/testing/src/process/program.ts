import type { ChildProcess, StdioOptions } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { spawnChild } from './child.ts';

export interface ProgramOptions {
  readonly cwd?: string;
  /** Beside what this process has; undefined takes a variable away. */
  readonly env?: NodeJS.ProcessEnv;
  /** What it reads from stdin; nothing unless given. */
  readonly input?: string;
  /** Descriptors of this process that it gets as its 3, 4 and so on. */
  readonly fds?: readonly number[];
}

/** What is left of a program. */
export interface Ended {
  /** The exit status; null when a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A program that is expected to end: a tool, or a daemon that is to refuse its arguments. It does not outlive this process. */
export class Program {
  readonly child: ChildProcess;
  /** Resolves when the program has ended and all that it wrote is here. @throws Error when it cannot be run. */
  readonly ended: Promise<Ended>;
  stdout = '';
  stderr = '';

  constructor(command: readonly string[], { cwd, env, input, fds = [] }: ProgramOptions = {}) {
    const stdio: StdioOptions = ['pipe', 'pipe', 'pipe', ...fds];
    this.child = spawnChild(command, { cwd, env: { ...process.env, ...env }, stdio });
    const { stdin, stdout, stderr } = this.child;
    stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
    });
    stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    // It may end without having read.
    stdin!.on('error', () => {});
    stdin!.end(input);
    this.ended = new Promise((resolve, reject) => {
      this.child.once('error', reject);
      this.child.once('close', (code) => resolve({ code, stdout: this.stdout, stderr: this.stderr }));
    });
  }
}

/** A program of this workspace in TypeScript, as the Node of this process runs it from its sources. */
export function fromSource(script: URL, ...args: readonly string[]): string[] {
  const flags = ['--conditions=@sidecard/source', '--disable-warning=ExperimentalWarning'];
  return [process.execPath, ...flags, fileURLToPath(script), ...args];
}
