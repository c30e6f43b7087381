import { describe, expect, test } from 'vitest';
import { Status } from '../../src/status.ts';
import { pattern, started, ways } from './machine.ts';

const errno = {
  EPERM: 1,
  EIO: 5,
  EACCES: 13,
  EFAULT: 14,
  EFBIG: 27,
  ENOSPC: 28,
  EROFS: 30,
  ETIMEDOUT: 110,
  EDQUOT: 122,
} as const;

describe.each(ways)('a drive with errors, %s memory', (way) => {
  test.each([
    ['read', errno.EIO, '2h/81h', false],
    ['write', errno.EIO, '2h/80h', false],
    // The guest's memory, not the drive.
    ['read', errno.EFAULT, '0h/4h', false],
    ['write', errno.EFAULT, '0h/4h', false],
    // A drive that has stalled, with on-stall=error: Namespace Not Ready, and it may be tried again.
    ['read', errno.ETIMEDOUT, '0h/82h', false],
    ['write', errno.ETIMEDOUT, '0h/82h', false],
    ['write', errno.ENOSPC, '0h/81h', true],
    ['write', errno.EROFS, '0h/20h', true],
  ] as const)('%s, errno %i: status %s', async (operation, error, status, doNotRetry) => {
    const { driver, queue, drive, log } = await started(way);
    drive.fail = () => error;
    const once = () =>
      operation === 'read'
        ? driver.read(queue, 1, 0, 512, { blockBytes: 512 })
        : driver.write(queue, 1, 0, pattern(512), { blockBytes: 512 });
    for (let time = 0; time < 5; time++) {
      await expect(once()).rejects.toMatchObject({
        message: expect.stringContaining(status),
        completion: { doNotRetry },
      });
    }
    drive.fail = () => 0;
    await once();
    drive.fail = () => error;
    await expect(once()).rejects.toThrow(status);
    // The drive logs its errors, each kind once. On a full disk every other command fails: that is no news each time.
    expect(log.lines.filter(({ level, message }) => level !== 'debug' && message.includes('drive'))).toEqual([]);
  });

  test.each([
    ['EIO', errno.EIO, Status.writeFault],
    ['ENOSPC', errno.ENOSPC, Status.capacityExceeded],
    ['EDQUOT', errno.EDQUOT, Status.capacityExceeded],
    ['EFBIG', errno.EFBIG, Status.capacityExceeded],
    ['EROFS', errno.EROFS, Status.namespaceWriteProtected],
    ['EPERM', errno.EPERM, Status.namespaceWriteProtected],
    ['EACCES', errno.EACCES, Status.namespaceWriteProtected],
  ])('%s is the same status to whatever writes', async (_name, error, status) => {
    const { driver, queue, drive } = await started(way);
    drive.fail = ({ operation }) => (operation === 'read' ? 0 : error);
    for (const writing of [
      () => driver.write(queue, 1, 0, pattern(512), { blockBytes: 512 }),
      () => driver.writeZeroes(queue, 1, 0, 512, { blockBytes: 512 }),
      () => driver.deallocate(queue, 1, [{ lba: 0, blocks: 1 }]),
      () => driver.copy(queue, 1, 0, [{ lba: 8, blocks: 1 }]),
    ]) {
      await expect(writing()).rejects.toMatchObject({ completion: { status } });
    }
    const [, written] = await driver.compareAndWrite(queue, 1, 0, new Uint8Array(512), pattern(512), {
      blockBytes: 512,
    });
    expect(written.status).toBe(status);
  });
});
