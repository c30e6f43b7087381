import { DriveError, type DriveOptions } from './drive.ts';
import { mostBytes, mostMemoryBytes, parseSize } from './size.ts';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** What is read, while it is read. */
interface Reading extends Mutable<Omit<DriveOptions, 'stallMs' | 'limits'>> {
  iops: number | null;
  bytesPerSecond: number | null;
  onStall: 'wait' | 'error';
  afterMs: number;
}

const KEYS = [
  'file',
  'size',
  'cache',
  'readonly',
  'discard',
  'serial',
  'lba',
  'iops',
  'bps',
  'on-stall',
  'after',
] as const;
type Key = (typeof KEYS)[number];

/** Linux waits 30 s for an NVMe command before it aborts and resets. */
const DEFAULT_STALL_MS = 25_000;
/** A drive that is merely busy has not stalled. */
const MIN_STALL_MS = 100;
const MAX_STALL_MS = 86_400_000;

/**
 * Reads `disk.img`, `file=disk.img,size=1G,readonly`, `mem:1G`, `null:1T,lba=4096`. A comma in a path is written twice.
 * Throws DriveError.
 */
export function parseDrive(text: string): DriveOptions {
  if (text === '') throw usage(text, 'no file');
  // No path has one, and a person has no way to say it but by a control socket.
  if (text.includes('\0')) throw usage(text, 'a zero byte');
  const parts = split(text);
  const options: Reading = {
    kind: 'file',
    path: '',
    sizeBytes: null,
    cache: 'writeback',
    readOnly: false,
    discard: 'unmap',
    serial: null,
    lba: null,
    iops: null,
    bytesPerSecond: null,
    onStall: 'wait',
    afterMs: DEFAULT_STALL_MS,
  };
  const special = /^(mem|null):(.*)$/.exec(parts[0]!);
  const named = /^([a-z]+|on-stall)(=|$)/.exec(parts[0]!);
  if (special !== null) {
    options.kind = special[1] === 'mem' ? 'memory' : 'null';
    options.sizeBytes = sizeOf(special[2]!, text);
    if (options.kind === 'memory' && options.sizeBytes > mostMemoryBytes) throw usage(text, 'mem: is 16T at most');
  } else if (named === null || (named[2] === '' && !isFlag(named[1]!, parts)) || parts[0]!.includes('/')) {
    options.path = parts[0]!.startsWith('file=') ? parts[0]!.slice(5) : parts[0]!;
  }
  const seen = new Set<string>();
  for (const part of special !== null || options.path !== '' ? parts.slice(1) : parts) apply(options, part, text, seen);
  check(options, text);
  if (seen.has('after') && options.onStall !== 'error') throw usage(text, 'after= belongs to on-stall=error');
  const { onStall, afterMs, iops, bytesPerSecond, ...drive } = options;
  return { ...drive, stallMs: onStall === 'error' ? afterMs : null, limits: { iops, bytesPerSecond } };
}

/** `readonly,file=x`: a word alone in front is an option only when the file is named after it. */
function isFlag(word: string, parts: readonly string[]): boolean {
  return word === 'readonly' && parts.some((part) => part.startsWith('file='));
}

function split(text: string): string[] {
  // A pair of commas is one comma of a value; the placeholder cannot be in a command line.
  return text
    .replaceAll(',,', '\0')
    .split(',')
    .map((part) => part.replaceAll('\0', ','));
}

function apply(options: Reading, part: string, text: string, seen: Set<string>): void {
  const equals = part.indexOf('=');
  const key = equals < 0 ? part : part.slice(0, equals);
  const value = equals < 0 ? null : part.slice(equals + 1);
  if (!isKey(key)) throw usage(text, `unknown option '${key}' (there are ${KEYS.join(', ')})`);
  if (seen.has(key)) throw usage(text, `${key}= is given twice`);
  seen.add(key);
  if (key === 'readonly') {
    options.readOnly = oneOf(key, value ?? 'on', ['on', 'off'], text) === 'on';
    return;
  }
  if (value === null || value === '') throw usage(text, `${key}= needs a value`);
  switch (key) {
    case 'file':
      if (options.kind !== 'file' || options.path !== '') throw usage(text, 'two drives in one');
      options.path = value;
      break;
    case 'size':
      if (options.kind !== 'file') throw usage(text, 'the size is given twice');
      options.sizeBytes = sizeOf(value, text);
      break;
    case 'cache':
      options.cache = oneOf(key, value, ['writeback', 'writethrough', 'none'], text);
      break;
    case 'discard':
      options.discard = oneOf(key, value, ['unmap', 'ignore'], text);
      break;
    case 'lba':
      options.lba = oneOf(key, value, ['512', '4096'], text) === '512' ? 512 : 4096;
      break;
    case 'iops':
      options.iops = limitOf(/^\d+$/.test(value) ? Number(value) : null, value, 'number of operations (as 5000)', text);
      break;
    case 'bps':
      options.bytesPerSecond = limitOf(parseSize(value), value, 'size (as 100M: 100 MiB a second)', text);
      break;
    case 'on-stall':
      options.onStall = oneOf(key, value, ['wait', 'error'], text);
      break;
    case 'after':
      options.afterMs = timeOf(value, text);
      break;
    case 'serial':
      if (!/^[\x21-\x7e](?:[\x20-\x7e]{0,18}[\x21-\x7e])?$/.test(value)) {
        throw usage(text, 'serial= is 1 to 20 printable ASCII characters');
      }
      options.serial = value;
      break;
  }
}

function check(options: Reading, text: string): void {
  if (options.kind === 'file' && options.path === '') throw usage(text, 'no file');
  const { sizeBytes } = options;
  if (sizeBytes === null) return;
  const lba = options.lba ?? 512;
  if (sizeBytes < lba) throw usage(text, `the size is smaller than a block of ${lba} bytes`);
  if (sizeBytes % lba !== 0) throw usage(text, `the size is not a multiple of the block, ${lba} bytes`);
}

function sizeOf(value: string, text: string): number {
  const bytes = parseSize(value);
  if (bytes === null) throw usage(text, `'${value}' is no size (as 512M, 10G, 1T)`);
  if (bytes > mostBytes) throw usage(text, `${value} is more than 8 PiB`);
  return bytes;
}

/** A limit; null for 0, which is none. */
function limitOf(number: number | null, value: string, what: string, text: string): number | null {
  if (number === null) throw usage(text, `'${value}' is no ${what}`);
  if (number > Number.MAX_SAFE_INTEGER) throw usage(text, `${value} is more than can be counted`);
  return number === 0 ? null : number;
}

/** Milliseconds of `25s`, `1.5s`, `1500ms`. */
function timeOf(value: string, text: string): number {
  const match = /^(\d+(?:\.\d+)?)(s|ms)$/.exec(value);
  if (match === null) throw usage(text, `'${value}' is no time (as 25s, 1500ms)`);
  const ms = Number(match[1]) * (match[2] === 's' ? 1000 : 1);
  if (ms < MIN_STALL_MS || ms > MAX_STALL_MS) throw usage(text, 'after= is 100ms to 1 day (86400s)');
  return ms;
}

function oneOf<T extends string>(key: Key, value: string, choices: readonly T[], text: string): T {
  const choice = choices.find((candidate) => candidate === value);
  if (choice === undefined) throw usage(text, `${key}= is ${choices.join(' or ')}, not '${value}'`);
  return choice;
}

function isKey(key: string): key is Key {
  return (KEYS as readonly string[]).includes(key);
}

function usage(text: string, reason: string): DriveError {
  return new DriveError('usage', `--drive ${text}: ${reason}`);
}
