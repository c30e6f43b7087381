import fc from 'fast-check';
import { compare } from '../commands/compare.ts';
import { compareAndWrite } from '../commands/compare-and-write.ts';
import { copy } from '../commands/copy.ts';
import { deallocate } from '../commands/deallocate.ts';
import { doorbellBufferConfig } from '../commands/doorbell-buffers.ts';
import { abort, eventRequest } from '../commands/events.ts';
import { getFeatures, setFeatures, setQueues } from '../commands/features.ts';
import { flush } from '../commands/flush.ts';
import { getLogPage, identify } from '../commands/information.ts';
import {
  createCompletionQueue,
  createSubmissionQueue,
  deleteCompletionQueue,
  deleteSubmissionQueue,
  wrongQueue,
} from '../commands/queues.ts';
import { read } from '../commands/read.ts';
import { verify } from '../commands/verify.ts';
import { write, writeZeroes } from '../commands/write.ts';
import { writeUncorrectable } from '../commands/write-uncorrectable.ts';
import type { Plan } from '../pending.ts';
import type { Action } from './action.ts';
import { DriveFails, DriveSpeed } from './drives.ts';
import { Attachment, Format } from './namespaces.ts';
import { Reset, ShutDown, Start } from './resets.ts';
import { Sleep } from './sleep.ts';
import { Submit, WrongDoorbell } from './submit.ts';
import { Drain, Reap, Turns } from './time.ts';

/** Commands of I/O queues: a new one is a file beside these, and a row here. */
const io: fc.Arbitrary<Plan> = fc.oneof(
  { weight: 6, arbitrary: write },
  { weight: 6, arbitrary: read },
  { weight: 2, arbitrary: writeZeroes },
  { weight: 2, arbitrary: compare },
  { weight: 2, arbitrary: flush },
  { weight: 2, arbitrary: deallocate },
  { weight: 1, arbitrary: verify },
  { weight: 1, arbitrary: writeUncorrectable },
  { weight: 2, arbitrary: copy },
  { weight: 2, arbitrary: compareAndWrite },
);

/** Commands of the admin queue. */
const admin: fc.Arbitrary<Plan> = fc.oneof(
  { weight: 4, arbitrary: setFeatures },
  { weight: 4, arbitrary: getFeatures },
  { weight: 1, arbitrary: setQueues },
  { weight: 2, arbitrary: identify },
  { weight: 4, arbitrary: getLogPage },
  { weight: 3, arbitrary: eventRequest },
  { weight: 3, arbitrary: abort },
  { weight: 3, arbitrary: createCompletionQueue },
  { weight: 4, arbitrary: createSubmissionQueue },
  { weight: 3, arbitrary: deleteSubmissionQueue },
  { weight: 2, arbitrary: deleteCompletionQueue },
  { weight: 2, arbitrary: wrongQueue },
  { weight: 3, arbitrary: doorbellBufferConfig },
);

const rings = fc.integer({ min: 0, max: 9 }).map((n) => n !== 9);

const submitIo = fc
  .record({ queue: fc.nat(5), plans: fc.array(io, { minLength: 1, maxLength: 6 }), rings })
  .map((drawn) => new Submit(drawn.queue, drawn.plans, drawn.rings));
const submitAdmin = fc
  .record({ plans: fc.array(admin, { minLength: 1, maxLength: 3 }), rings })
  .map((drawn) => new Submit('admin', drawn.plans, drawn.rings));

const queues = fc.array(fc.record({ entries: fc.constantFrom(2, 3, 8, 33), shared: fc.boolean() }), {
  minLength: 1,
  maxLength: 3,
});

/** As often as they are written here. */
export const actions: fc.Arbitrary<Action>[] = [
  ...new Array<fc.Arbitrary<Action>>(10).fill(submitIo),
  ...new Array<fc.Arbitrary<Action>>(5).fill(submitAdmin),
  ...new Array<fc.Arbitrary<Action>>(5).fill(fc.integer({ min: 1, max: 30 }).map((count) => new Turns(count))),
  ...new Array<fc.Arbitrary<Action>>(3).fill(fc.constantFrom(1, 2, 1000).map((most) => new Reap(most))),
  fc.constant(new Drain()),
  eventRequest.map((one) => new Submit('admin', new Array<Plan>(5).fill(one), true)),
  ...new Array<fc.Arbitrary<Action>>(3).fill(fc.option(submitIo, { freq: 3 }).map((submit) => new Sleep(submit))),
  fc
    .record({ nsid: fc.constantFrom(1, 2), index: fc.nat(1), isReset: fc.boolean() })
    .map(({ nsid, index, isReset }) => new Format(nsid, index, isReset)),
  fc.constantFrom(1, 2, 2).map((nsid) => new Attachment(nsid)),
  ...new Array<fc.Arbitrary<Action>>(3).fill(
    fc
      .record({ entries: fc.constantFrom(8, 9, 32, 64), queues })
      .map((drawn) => new Start(drawn.entries, drawn.queues)),
  ),
  fc
    .record({ kind: fc.constantFrom('cc', 'cc', 'subsystem', 'function', 'device', 'client'), turns: fc.nat(20) })
    .map(({ kind, turns }) => new Reset(kind, turns)),
  fc.integer({ min: 0, max: 3 }).map((n) => new ShutDown(n === 3)),
  fc.constantFrom('inline', 'slow', 'slow', 'stalled').map((speed) => new DriveSpeed(speed)),
  fc
    .record({ drive: fc.nat(1), count: fc.integer({ min: 1, max: 2 }), errno: fc.constantFrom(5, 5, 28) })
    .map(({ drive, count, errno }) => new DriveFails(drive, count, errno)),
  fc
    .record({ queue: fc.nat(8), which: fc.constantFrom('tail', 'head', 'ahead') })
    .map(({ queue, which }) => new WrongDoorbell(queue, which)),
];
