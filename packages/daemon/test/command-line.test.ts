import { expect, test } from 'vitest';
import { type CommandLine, parseCommandLine } from '../src/command-line.ts';
import { exitCode, oneLine, UsageError } from '../src/errors.ts';
import { listenAt } from '../src/listen-at.ts';

const line: CommandLine = {
  name: 'sidecard-test',
  description: 'A device for tests.',
  version: '1.2.3',
  options: (program) => {
    program.requiredOption('--drive <drive>', 'a drive');
  },
};

function parse(...args: string[]) {
  let printed = '';
  const options = parseCommandLine<{ drive: string }>(line, args, (text) => {
    printed += text;
  });
  return { options, printed };
}

test('what every daemon has, and what this one has', () => {
  expect(parse('--socket', '/run/x', '--drive', 'y').options).toEqual({
    socket: '/run/x',
    drive: 'y',
    logLevel: 'info',
    poll: 'adaptive',
  });
  expect(parse('--drive', 'y', '--log-level', 'debug', '--poll').options).toMatchObject({
    logLevel: 'debug',
    poll: 'dedicated',
  });
});

test('--poll, with and without a word', () => {
  expect(parse('--drive', 'y', '--poll=never').options).toMatchObject({ poll: 'never' });
  expect(parse('--poll', '--drive', 'y').options).toMatchObject({ poll: 'dedicated', drive: 'y' });
  expect(() => parse('--drive', 'y', '--poll=often')).toThrow('often');
});

test('--help and --version are answered, whatever else is missing', () => {
  expect(parse('--version')).toEqual({ options: null, printed: '1.2.3\n' });
  const { options, printed } = parse('--help');
  expect(options).toBeNull();
  for (const option of ['--socket', '--log-level', '--poll', '--drive', '--help', '--version']) {
    expect(printed).toContain(option);
  }
});

test('--panel is an option of devices that have one', () => {
  const page = { folder: new URL('.', import.meta.url), routes: [] };
  const print = (text: string) => expect(text).toContain('--panel <port>');
  const args = ['--drive', 'y', '--panel', '8080'];
  expect(parseCommandLine({ ...line, panel: page }, args, print)).toMatchObject({ panel: '8080' });
  expect(parseCommandLine({ ...line, panel: page }, ['--help'], print)).toBeNull();
  expect(() => parse(...args)).toThrow("unknown option '--panel'");
});

test.each([
  [['--drive', 'y', '--sokcet', 'x'], "unknown option '--sokcet'"],
  [['--drive'], "'--drive <drive>' argument missing"],
  [['--socket', 'x'], "required option '--drive <drive>' not specified"],
  [['--drive', 'y', 'z'], 'too many arguments'],
  [['--drive', 'y', '--log-level', 'loud'], "'loud' is invalid"],
])('%j is a mistake of one line', (args, message) => {
  const error = (() => {
    try {
      parse(...args);
      return null;
    } catch (thrown) {
      return thrown;
    }
  })();
  expect(error).toBeInstanceOf(UsageError);
  expect(exitCode(error)).toBe(2);
  expect(oneLine(error)).toContain(message);
  expect(oneLine(error)).not.toContain('\n');
});

test('a socket by path, or handed over', () => {
  expect(listenAt('/run/x', {}, 7)).toEqual({ socketPath: '/run/x' });
  expect(listenAt(undefined, { LISTEN_FDS: '1', LISTEN_PID: '7' }, 7)).toEqual({ listenFd: 3 });
  expect(listenAt(undefined, { LISTEN_FDS: '1' }, 7)).toEqual({ listenFd: 3 });
  // Meant for another process, several, none, nothing.
  expect(() => listenAt(undefined, { LISTEN_FDS: '1', LISTEN_PID: '8' }, 7)).toThrow('--socket <path> is required');
  expect(() => listenAt(undefined, { LISTEN_FDS: '2', LISTEN_PID: '7' }, 7)).toThrow('exactly one');
  expect(() => listenAt(undefined, {}, 7)).toThrow('--socket <path> is required');
  expect(() => listenAt('', {}, 7)).toThrow('empty');
});

test('errors of others: usage by their kind, one line always', () => {
  expect(exitCode(Object.assign(new Error('x'), { kind: 'usage' }))).toBe(2);
  expect(exitCode(Object.assign(new Error('x'), { kind: 'failure' }))).toBe(1);
  expect(exitCode('x')).toBe(1);
  expect(oneLine(new Error('one\n  two\n'))).toBe('one; two');
});
