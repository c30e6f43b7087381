import type { NvmeCompletion } from '@sidecard/testing';
import fc from 'fast-check';
import { Status } from '../../../src/status.ts';
import type { Plan } from '../pending.ts';
import { must } from '../violation.ts';
import { type BlockCommand, dataFor, isFua, shape, target } from './blocks.ts';
import { Compare } from './compare.ts';
import { Write } from './write.ts';

/** FUSE (NVMe Base 2.0, 3.4.2). */
const Fuse = { first: 1, second: 2 } as const;

/** An Abort has named a half, or there is never room for both: then they may not have met. */
function mayMiss(half: BlockCommand): boolean {
  const { ring, mate, abortable } = half;
  return abortable || mate!.abortable || ring!.entries <= 2 || ring!.completions.entries <= 2;
}

/** The first half of Compare and Write (NVM Command Set 1.0, 2.1.3.1). */
class CompareHalf extends Compare {
  override readonly fuse = Fuse.first;

  override ended(completion: NvmeCompletion): void {
    must(this.mate!.status === null, () => `${this} completes after ${this.mate}`);
    const { status } = completion;
    if ((status === Status.missingFused || status === Status.failedFused) && mayMiss(this)) this.dropped();
    else super.ended(completion);
  }
}

/** The second half: not executed unless the first has found what it compares with. */
class WriteHalf extends Write {
  override readonly fuse = Fuse.second;

  override ended(completion: NvmeCompletion): void {
    const first = this.mate!.status;
    const { failedFused, missingFused, success } = Status;
    if (first !== success || completion.status === failedFused || completion.status === missingFused) {
      must(first !== success || mayMiss(this), () => `${this} was not executed, though its first half was`);
      this.expect(completion, failedFused, missingFused, ...this.mistakes);
      this.never();
    } else super.ended(completion);
  }
}

export const compareAndWrite: fc.Arbitrary<Plan> = fc
  .record({ where: target, how: shape, howToo: shape, different: fc.boolean(), fua: isFua })
  .map(({ where, how, howToo, different, fua }) => ({
    plan: (model) => {
      const [compared, written] = [dataFor(model, where, how), dataFor(model, where, howToo)];
      if (compared === null || written === null) {
        compared?.free();
        written?.free();
        return null;
      }
      const first = new CompareHalf(model, where, compared, different);
      const second = new WriteHalf(model, where, written, fua);
      first.mate = second;
      second.mate = first;
      return [first, second];
    },
    toString: () => `compareAndWrite ${fc.stringify({ where, how, howToo, different, fua })}`,
  }));
