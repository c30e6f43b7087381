import { describe, expect, test } from 'vitest';
import { DriveError, formatSize, parseDrive, parseSize } from '../src/index.ts';

const defaults = {
  kind: 'file',
  path: '',
  sizeBytes: null,
  cache: 'writeback',
  readOnly: false,
  discard: 'unmap',
  serial: null,
  lba: null,
  stallMs: null,
  limits: { iops: null, bytesPerSecond: null },
};

test.each([
  ['disk.img', { path: 'disk.img' }],
  ['./a=b.img', { path: './a=b.img' }],
  ['/dev/disk/by-id/x,readonly', { path: '/dev/disk/by-id/x', readOnly: true }],
  ['readonly', { path: 'readonly' }],
  ['disk', { path: 'disk' }],
  ['mem', { path: 'mem' }],
  ['file=disk.img', { path: 'disk.img' }],
  ['file=/tmp/x=y,,z.img,size=1G', { path: '/tmp/x=y,z.img', sizeBytes: 2 ** 30 }],
  ['readonly,file=disk.img', { path: 'disk.img', readOnly: true }],
  ['size=1G,file=disk.img', { path: 'disk.img', sizeBytes: 2 ** 30 }],
  ['disk.img,readonly=off,cache=none', { path: 'disk.img', cache: 'none' }],
  ['disk.img,cache=writethrough,discard=ignore', { path: 'disk.img', cache: 'writethrough', discard: 'ignore' }],
  ['disk.img,serial=ABC 12,lba=4096', { path: 'disk.img', serial: 'ABC 12', lba: 4096 }],
  ['disk.img,lba=512', { path: 'disk.img', lba: 512 }],
  ['disk.img,on-stall=wait', { path: 'disk.img' }],
  ['disk.img,on-stall=error', { path: 'disk.img', stallMs: 25_000 }],
  ['disk.img,on-stall=error,after=10s', { path: 'disk.img', stallMs: 10_000 }],
  ['after=1500ms,on-stall=error,file=disk.img', { path: 'disk.img', stallMs: 1500 }],
  ['on-stall=error,after=0.5s,file=disk.img', { path: 'disk.img', stallMs: 500 }],
  ['on-stall', { path: 'on-stall' }],
  ['disk.img,iops=5000', { path: 'disk.img', limits: { iops: 5000, bytesPerSecond: null } }],
  ['bps=1.5M,iops=1,file=disk.img', { path: 'disk.img', limits: { iops: 1, bytesPerSecond: 1.5 * 2 ** 20 } }],
  ['disk.img,iops=0,bps=0', { path: 'disk.img' }],
  ['iops', { path: 'iops' }],
  ['mem:1G', { kind: 'memory', sizeBytes: 2 ** 30 }],
  ['null:1T,lba=4096', { kind: 'null', sizeBytes: 2 ** 40, lba: 4096 }],
])('%s', (text, options) => {
  expect(parseDrive(text)).toEqual({ ...defaults, ...options });
});

test.each([
  ['', 'no file'],
  ['file=', 'file= needs a value'],
  ['disk.img,siez=1G', "unknown option 'siez'"],
  ['disk.img,', "unknown option ''"],
  ['siez=1G,file=disk.img', "unknown option 'siez'"],
  ['size=1G', 'no file'],
  ['disk.img,size=big', "'big' is no size"],
  ['disk.img,size=100', 'smaller than a block of 512'],
  ['disk.img,size=1000', 'not a multiple of the block'],
  ['disk.img,size=2560,lba=4096', 'smaller than a block of 4096'],
  ['disk.img,size=9000P', 'more than 8 PiB'],
  ['disk.img,cache=unsafe', "cache= is writeback or writethrough or none, not 'unsafe'"],
  ['disk.img,lba=1024', 'lba= is 512 or 4096'],
  ['disk.img,serial=123456789012345678901', '1 to 20 printable'],
  ['disk.img,serial=ä', '1 to 20 printable'],
  ['disk.img,readonly=perhaps', 'readonly= is on or off'],
  ['disk.img,size=1G,size=2G', 'size= is given twice'],
  ['disk.img,on-stall=ignore', "on-stall= is wait or error, not 'ignore'"],
  ['disk.img,on-stall', 'on-stall= needs a value'],
  ['disk.img,after=10s', 'after= belongs to on-stall=error'],
  ['disk.img,after=10s,on-stall=wait', 'after= belongs to on-stall=error'],
  ['disk.img,on-stall=error,after=', 'after= needs a value'],
  ['disk.img,on-stall=error,after=10', "'10' is no time (as 25s, 1500ms)"],
  ['disk.img,on-stall=error,after=soon', "'soon' is no time"],
  ['disk.img,on-stall=error,after=-1s', "'-1s' is no time"],
  ['disk.img,on-stall=error,after=0s', 'after= is 100ms to 1 day'],
  ['disk.img,on-stall=error,after=86401s', 'after= is 100ms to 1 day'],
  ['disk.img,iops=many', "'many' is no number of operations (as 5000)"],
  ['disk.img,iops=-1', "'-1' is no number of operations"],
  ['disk.img,iops=0.5', "'0.5' is no number of operations"],
  ['disk.img,iops=1e3', "'1e3' is no number of operations"],
  ['disk.img,iops=99999999999999999999', 'more than can be counted'],
  ['disk.img,iops=', 'iops= needs a value'],
  ['disk.img,iops', 'iops= needs a value'],
  ['disk.img,iops=1,iops=2', 'iops= is given twice'],
  ['disk.img,bps=fast', "'fast' is no size (as 100M: 100 MiB a second)"],
  ['disk.img,bps=-1', "'-1' is no size"],
  ['disk.img,bps=9000000P', 'more than can be counted'],
  ['mem:1G,size=2G', 'the size is given twice'],
  ['mem:', "'' is no size"],
  ['null:1X', "'1X' is no size"],
  ['mem:1G,file=x', 'two drives in one'],
])('%s is refused: %s', (text, reason) => {
  let error: unknown;
  try {
    parseDrive(text);
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toBeInstanceOf(DriveError);
  expect((error as DriveError).kind).toBe('usage');
  expect((error as DriveError).message).toContain(reason);
  expect((error as DriveError).message).not.toContain('\n');
});

describe('sizes', () => {
  test.each([
    ['512', 512],
    ['64k', 65536],
    ['1.5G', 1.5 * 2 ** 30],
    ['1GiB', 2 ** 30],
    ['2MB', 2 ** 21],
    ['1T', 2 ** 40],
  ])('%s', (text, bytes) => expect(parseSize(text)).toBe(bytes));
  test.each(['', '-1', '1.3', 'G', '1e3', '0x10', '1 G'])("'%s' is none", (text) => {
    expect(parseSize(text)).toBe(null);
  });
  test.each([
    [2 ** 30, '1 GiB'],
    [1.5 * 2 ** 40, '1.5 TiB'],
    [1000, '1000 bytes'],
    [2 ** 20 + 512, '1024.5 KiB'],
  ])('%d bytes', (bytes, text) => expect(formatSize(bytes)).toBe(text));
});
