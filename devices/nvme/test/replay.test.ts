import { AdminOpcode } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { Status } from '../src/status.ts';
import { type Machine, started } from './machine.ts';

describe('queue commands and Abort, run again where they died', () => {
  /** Runs an admin command at the step where it had been recorded; its status and dword 0. */
  function run({ controller }: Machine, opcode: number, step: number, more: object) {
    const command = {
      step,
      status: 0,
      result: 0,
      sqe: { cdw10: 0, cdw11: 0, prp1: 0, ...more },
      fail(status: number) {
        this.status = status;
        return true;
      },
    };
    expect(controller.opcodes.admin[opcode]!.run(controller, command as never)).toBe(true);
    return command;
  }

  test('each does the rest', async () => {
    const made = await started('mapped');
    const prp1 = made.ram.allocate(4096);
    const create = { prp1, cdw10: (15 << 16) | 2, cdw11: 1 };
    const createSubmission = { ...create, cdw11: (2 << 16) | 1 };
    for (const [opcode, fields] of [
      [AdminOpcode.createCompletionQueue, create],
      [AdminOpcode.createSubmissionQueue, createSubmission],
      [AdminOpcode.deleteSubmissionQueue, { cdw10: 2 }],
      [AdminOpcode.deleteCompletionQueue, { cdw10: 2 }],
    ] as const) {
      const { step, status } = run(made, opcode, 0, fields);
      expect([step, status]).toEqual([1, Status.success]);
      expect(run(made, opcode, 1, fields).status).toBe(Status.success);
    }
    expect(made.controller.queues.completion[2]!.created).toBe(false);
    expect(made.controller.queues.completion[2]!.users).toBe(0);
  });

  test('an Abort that had taken an event request back says so', async () => {
    const made = await started('mapped');
    const cid = made.driver.admin.submit({ opcode: AdminOpcode.asyncEventRequest });
    made.settle();
    const { step, result } = run(made, AdminOpcode.abort, 0, { cdw10: cid << 16 });
    expect([step, result]).toEqual([1, 0]);
    expect(run(made, AdminOpcode.abort, 1, { cdw10: cid << 16 }).result).toBe(0);
  });
});
