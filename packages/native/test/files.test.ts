import { constants as fileConstants, mkdtempSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { Fallocate, FdInfo, FileType, Flock, RangeLock } from '../src/index.ts';
import { natives } from './natives.ts';

const { EAGAIN, EBADF, EEXIST, EFAULT, EINVAL, ENOENT, ENOTTY } = constants.errno;
const { O_CREAT, O_EXCL, O_RDONLY, O_RDWR } = fileConstants;
const folder = mkdtempSync(join(tmpdir(), 'sidecard-files-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe.each(natives)('files: $name', ({ name, create }) => {
  const native = create();
  const memory = new ArrayBuffer(8192);
  const view = new Uint8Array(memory);
  const handle = native.pin(memory);
  let files = 0;

  function file(sizeBytes = 0): { fd: number; path: string } {
    const path = join(folder, `${name}-${files++}`);
    const fd = native.open(path, O_RDWR | O_CREAT | O_EXCL, 0o600);
    expect(native.truncate(fd, sizeBytes)).toBe(0);
    return { fd, path };
  }

  it('open, or say why not', () => {
    const { fd, path } = file(10);
    expect(native.open(path, O_RDWR | O_CREAT | O_EXCL, 0o600)).toBe(-EEXIST);
    expect(native.open(join(folder, 'missing'), O_RDONLY, 0)).toBe(-ENOENT);
    const again = native.open(path, O_RDONLY, 0);
    expect(native.fileSize(again)).toBe(10);
    expect(native.pwrite(again, handle, 0, 1, 0)).toBe(-EBADF);
    for (const open of [fd, again]) native.close(open);
    expect(native.fileSize(fd)).toBe(-EBADF);
  });

  it('read and write, short at the end', () => {
    const { fd } = file(100);
    view.fill(5, 0, 200);
    expect(native.pwrite(fd, handle, 0, 60, 90)).toBe(60);
    expect(native.fileSize(fd)).toBe(150);
    expect(native.pread(fd, handle, 4096, 4096, 80)).toBe(70);
    expect([view[4096 + 9], view[4096 + 10]]).toEqual([0, 5]);
    expect(native.pread(fd, handle, 0, 10, 150)).toBe(0);
    expect(native.fdatasync(fd)).toBe(0);
    native.close(fd);
  });

  it('refuse a bad handle or range', () => {
    const { fd } = file(4096);
    for (const [of, offset, length] of [
      [handle, 8000, 193],
      [handle, 8193, 0],
      [handle, -1, 1],
      [0, 0, 1],
      [12_345, 0, 1],
    ] as const) {
      expect(native.pread(fd, of, offset, length, 0)).toBe(-EFAULT);
      expect(native.pwrite(fd, of, offset, length, 0)).toBe(-EFAULT);
    }
    native.close(fd);
  });

  it('zero ranges and punch holes', () => {
    const { fd } = file(8192);
    view.fill(9);
    native.pwrite(fd, handle, 0, 8192, 0);
    expect(native.fallocate(fd, Fallocate.punchHole | Fallocate.keepSize, 0, 4096)).toBe(0);
    expect(native.pread(fd, handle, 0, 8192, 0)).toBe(8192);
    expect([view[0], view[4095], view[4096]]).toEqual([0, 0, 9]);
    expect(native.fallocate(fd, Fallocate.allocate, 8192, 4096)).toBe(0);
    expect(native.fileSize(fd)).toBe(12_288);
    expect(native.fallocate(fd, Fallocate.allocate, 0, 0)).toBe(-EINVAL);
    native.close(fd);
  });

  it('have locks that belong to the open file description', () => {
    const { fd, path } = file();
    const other = native.open(path, O_RDWR, 0);
    const copy = native.dup(fd);
    expect(native.flock(fd, Flock.exclusive | Flock.nonBlocking)).toBe(0);
    expect(native.flock(other, Flock.shared | Flock.nonBlocking)).toBe(-EAGAIN);
    native.close(fd);
    expect(native.flock(other, Flock.shared | Flock.nonBlocking), 'the copy holds it').toBe(-EAGAIN);
    native.close(copy);
    expect(native.flock(other, Flock.exclusive | Flock.nonBlocking)).toBe(0);
    native.close(other);
  });

  it('have OFD range locks, as QEMU uses on images', () => {
    const { fd, path } = file();
    const other = native.open(path, O_RDWR, 0);
    expect(native.lockRange(fd, RangeLock.read, 100, 10)).toBe(0);
    expect(native.testRange(fd, RangeLock.write, 100, 10), 'its own').toBe(0);
    expect(native.testRange(other, RangeLock.read, 100, 10)).toBe(0);
    expect(native.testRange(other, RangeLock.write, 109, 1)).toBe(1);
    expect(native.testRange(other, RangeLock.write, 110, 1)).toBe(0);
    expect(native.lockRange(other, RangeLock.write, 105, 1)).toBe(-EAGAIN);
    expect(native.lockRange(fd, RangeLock.unlock, 105, 1)).toBe(0);
    expect(native.lockRange(other, RangeLock.write, 105, 1)).toBe(0);
    expect(native.lockRange(other, RangeLock.write, 106, 1)).toBe(-EAGAIN);
    for (const open of [fd, other]) native.close(open);
  });

  it('say what they are', () => {
    const { fd, path } = file(5000);
    const again = native.open(path, O_RDONLY, 0);
    const [a, b] = [new Float64Array(FdInfo.columns), new Float64Array(FdInfo.columns)];
    expect([native.fdInfo(fd, a), native.fdInfo(again, b)]).toEqual([0, 0]);
    for (const same of [FdInfo.dev, FdInfo.inodeLow, FdInfo.inodeHigh]) expect(a[same]).toBe(b[same]);
    expect([a[FdInfo.type], a[FdInfo.size], a[FdInfo.seals]]).toEqual([FileType.regular, 5000, -1]);
    expect([a[FdInfo.flags]! & 3, b[FdInfo.flags]! & 3]).toEqual([2, 0]);
    const memfd = native.memfd('described', 4096);
    native.fdInfo(memfd, b);
    expect([b[FdInfo.type], b[FdInfo.size], b[FdInfo.seals]]).toEqual([FileType.regular, 4096, 0]);
    const event = native.eventfd();
    native.fdInfo(event, b);
    expect(b[FdInfo.type]).toBe(FileType.anonymous);
    expect(native.blkSectorSize(fd)).toBe(-ENOTTY);
    expect([native.blkDiscard(fd, 0, 512), native.blkZeroOut(fd, 0, 512)]).toEqual([-ENOTTY, -ENOTTY]);
    for (const open of [fd, again, memfd, event]) native.close(open);
    expect(native.fdInfo(fd, a)).toBe(-EBADF);
  });
});
