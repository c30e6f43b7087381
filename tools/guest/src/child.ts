import { type SpawnOptions, spawn } from 'node:child_process';

export interface Outcome {
  status: number;
  stdout: string;
  stderr: string;
}

/** Runs a program to its end; a program that is missing answers status 127, as a shell would. */
export function execute(
  command: readonly string[],
  options: SpawnOptions & { onLine?: (line: string) => void } = {},
): Promise<Outcome> {
  const { onLine, ...spawnOptions } = options;
  return new Promise((resolve) => {
    const child = spawn(command[0] as string, command.slice(1), {
      stdio: ['ignore', 'pipe', 'pipe'],
      ...spawnOptions,
    });
    let stdout = '';
    let stderr = '';
    let seen = 0;
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      if (!onLine) return;
      for (let end = stdout.indexOf('\n', seen); end >= 0; end = stdout.indexOf('\n', seen)) {
        onLine(stdout.slice(seen, end));
        seen = end + 1;
      }
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.once('error', (error) => resolve({ status: 127, stdout, stderr: error.message }));
    child.once('close', (code) => resolve({ status: code ?? 128, stdout, stderr }));
  });
}

/** Like execute, but anything other than success is an error that says what the program said last. */
export async function succeed(command: readonly string[], options: SpawnOptions = {}): Promise<string> {
  const { status, stdout, stderr } = await execute(command, options);
  if (status === 0) return stdout;
  const said = `${stdout}\n${stderr}`.trim().split('\n').slice(-3).join('; ');
  throw new Error(`${command[0]} failed (${status}): ${said}`);
}
