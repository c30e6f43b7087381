import { describe, expect, test } from 'vitest';
import { pattern, started, ways } from './machine.ts';

const errno = { EIO: 5, EFAULT: 14, ENOSPC: 28, EROFS: 30, ETIMEDOUT: 110 } as const;

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
});
