import { RequestOp } from '@sidecard/native';
import type { BlockRequest } from './backend.ts';
import { EBUSY, EINVAL, ENOSYS, EOPNOTSUPP } from './errno.ts';
import type { FileRing } from './file-ring.ts';
import type { FileSlots, Phase } from './file-slots.ts';
import type { ImageFile } from './image-file.ts';

/** What became of a range operation whose call was refused: another way is under way, or has to be, or there is none. */
export type Refusal = 'ended' | 'byHand' | 'failed';

/**
 * Write zeroes and discard. Each way that the file does not support is tried once: holes, then ranges of zeroes (for a block
 * device BLKZEROOUT), then writing them. A discard that is refused has no effect, which is allowed.
 */
export class RangeOperations {
  readonly #image: ImageFile;
  readonly #ring: FileRing;
  readonly #slots: FileSlots;
  readonly #discards: boolean;
  // What the file has not refused yet.
  #holes = true;
  #ranges: boolean;
  #zeroOut: boolean;

  constructor(image: ImageFile, ring: FileRing, slots: FileSlots, discards: boolean) {
    this.#image = image;
    this.#ring = ring;
    this.#slots = slots;
    this.#discards = discards;
    this.#ranges = !image.blockDevice;
    this.#zeroOut = image.blockDevice;
  }

  discard(slot: number, request: BlockRequest): void {
    this.#slots.phase[slot] = 'discard';
    if (this.#image.blockDevice) this.#ring.range(slot, RequestOp.discard, request.offset, request.lengthBytes, 0);
    else this.#ring.punchHole(slot, request.offset, request.lengthBytes);
  }

  /** Starts the cheapest way left; false when the zeroes have to be written. */
  writeZeroes(slot: number, request: BlockRequest): boolean {
    const { offset, lengthBytes } = request;
    if (request.mayDeallocate && this.#discards && this.#holes) {
      this.#slots.phase[slot] = 'punch';
      this.#ring.punchHole(slot, offset, lengthBytes);
    } else if (this.#ranges) {
      this.#slots.phase[slot] = 'zeroRange';
      this.#ring.zeroRange(slot, offset, lengthBytes);
    } else if (this.#zeroOut) {
      this.#slots.phase[slot] = 'zeroOut';
      this.#ring.range(slot, RequestOp.zeroOut, offset, lengthBytes, 0);
    } else return false;
    return true;
  }

  refused(phase: Phase, errno: number): Refusal {
    const unsupported = errno === EOPNOTSUPP || errno === ENOSYS;
    // fallocate and the ioctls refuse ranges that are not whole sectors.
    if (!unsupported && errno !== EINVAL && errno !== EBUSY) return 'failed';
    switch (phase) {
      case 'discard':
        return 'ended';
      case 'punch':
        if (unsupported) this.#holes = false;
        return 'byHand';
      case 'zeroRange':
        if (unsupported) this.#ranges = false;
        return 'byHand';
      case 'zeroOut':
        if (unsupported) this.#zeroOut = false;
        return 'byHand';
      default:
        return 'failed';
    }
  }
}
