import { AdminOpcode } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { Field, Status } from '../../src/status.ts';
import { mistakeOf } from '../mistakes.ts';
import { started, ways } from './machine.ts';

const { abort, asyncEventRequest } = AdminOpcode;
/** Dword 0 of the completion: bit 0 is set when the command was not aborted. */
const aborted = 0;
const notAborted = 1;

describe.each(ways)('Abort, %s memory', (way) => {
  test('takes back an event request', async () => {
    const { driver, settle } = await started(way);
    const requests = [0, 1].map(() => driver.admin.submit({ opcode: asyncEventRequest }));
    const { dw0 } = await driver.adminCommand({ opcode: abort, cdw10: requests[1]! << 16 });
    expect(dw0).toBe(aborted);
    const completion = await driver.admin.completion(requests[1]!);
    expect(completion).toMatchObject({ status: Status.abortRequested, doNotRetry: false, more: false });
    expect(driver.admin.poll(requests[0]!)).toBeNull();
    // There is room for it again, and a second time it is not there.
    expect((await driver.adminCommand({ opcode: abort, cdw10: requests[1]! << 16 })).dw0).toBe(notAborted);
    for (let count = 0; count < 3; count++) driver.admin.submit({ opcode: asyncEventRequest });
    await settle();
    expect((await driver.submit(driver.admin, { opcode: asyncEventRequest })).status).toBe(
      Status.asyncEventLimitExceeded,
    );
  });

  test('of what is at the drive: it is not aborted, and ends as it would have', async () => {
    const { driver, queue, drive, settle, ram } = await started(way);
    drive.stalled = true;
    const cid = queue.submit({ opcode: 2, nsid: 1, prp1: ram.allocate(4096) });
    await settle();
    // Many at once: more than ACL is no mistake where each has ended before the next begins.
    const aborts = Array.from({ length: 8 }, () => driver.admin.submit({ opcode: abort, cdw10: (cid << 16) | 1 }));
    for (const one of aborts) expect((await driver.admin.completion(one)).dw0).toBe(notAborted);
    expect(queue.poll(cid)).toBeNull();
    drive.stalled = false;
    expect((await queue.completion(cid)).status).toBe(Status.success);
  });

  test('of what has ended, was never there, or is an Abort', async () => {
    const { driver, queue } = await started(way);
    const { cid } = await driver.submit(queue, { opcode: 0, nsid: 1 });
    for (const cdw10 of [(cid << 16) | 1, (999 << 16) | 1, 999 << 16]) {
      expect((await driver.adminCommand({ opcode: abort, cdw10 })).dw0).toBe(notAborted);
    }
    expect((await driver.adminCommand({ opcode: abort, cid: 77, cdw10: 77 << 16 })).dw0).toBe(notAborted);
  });

  test('of a submission queue that is not there', async () => {
    const { driver } = await started(way);
    for (const cdw10 of [7, 65, 0xffff]) {
      expect(await mistakeOf(driver, driver.admin, { opcode: abort, cdw10 })).toEqual([
        Status.invalidField,
        Field.cdw10,
        0,
      ]);
    }
  });
});
