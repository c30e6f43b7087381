import { constants } from 'node:os';
import { Fallocate, FileType, Flock, RangeLock, Seal } from '../constants.ts';
import { OpenFile } from './descriptors.ts';

const { EAGAIN, EBADF, EBUSY, EINVAL, EOPNOTSUPP, EPERM } = constants.errno;

interface HeldRange {
  readonly owner: FakeFile;
  readonly type: number;
  readonly start: number;
  readonly end: number;
}

/** A regular file or memfd. It cannot grow while it is mapped: no two ArrayBuffers share memory. */
export class FakeInode {
  readonly number: number;
  content: ArrayBuffer;
  sizeBytes: number;
  /** -1: not a memfd, has none. */
  seals: number;
  mapped = false;
  readonly flocks = new Map<FakeFile, number>();
  ranges: HeldRange[] = [];

  constructor(number: number, sizeBytes: number, seals: number) {
    this.number = number;
    this.content = new ArrayBuffer(sizeBytes);
    this.sizeBytes = sizeBytes;
    this.seals = seals;
  }

  truncate(sizeBytes: number): number {
    if (sizeBytes < this.sizeBytes && this.seals > 0 && this.seals & Seal.shrink) return -EPERM;
    if (sizeBytes > this.sizeBytes && this.seals > 0 && this.seals & Seal.grow) return -EPERM;
    if (sizeBytes < this.sizeBytes) new Uint8Array(this.content, sizeBytes).fill(0);
    if (sizeBytes > this.content.byteLength) {
      if (this.mapped) return -EBUSY;
      // Doubled, or a file that is written to its end would be copied each time.
      this.content = this.content.transfer(Math.max(sizeBytes, 2 * this.content.byteLength));
    }
    this.sizeBytes = sizeBytes;
    return 0;
  }

  /** Exactly as long as the file, so that a mapping of the whole is this very buffer. */
  trim(): void {
    if (!this.mapped && this.content.byteLength !== this.sizeBytes)
      this.content = this.content.transfer(this.sizeBytes);
  }
}

export class FakeFile extends OpenFile {
  readonly type = FileType.regular;
  readonly inode: FakeInode;

  constructor(inode: FakeInode, flags: number) {
    super();
    this.inode = inode;
    this.flags = flags;
  }

  override get readable(): boolean {
    return true;
  }

  read(target: Uint8Array, position: number): number {
    if ((this.flags & 3) === 1) return -EBADF;
    const bytes = Math.max(0, Math.min(target.length, this.inode.sizeBytes - position));
    if (bytes > 0) target.set(new Uint8Array(this.inode.content, position, bytes));
    return bytes;
  }

  write(source: Uint8Array, position: number): number {
    if ((this.flags & 3) === 0) return -EBADF;
    const end = position + source.length;
    const error = end > this.inode.sizeBytes ? this.inode.truncate(end) : 0;
    if (error < 0) return error;
    new Uint8Array(this.inode.content).set(source, position);
    return source.length;
  }

  fallocate(mode: number, position: number, length: number): number {
    if ((this.flags & 3) === 0) return -EBADF;
    if (length <= 0 || position < 0) return -EINVAL;
    const keep = (mode & Fallocate.keepSize) !== 0;
    const end = position + length;
    const error = !keep && end > this.inode.sizeBytes ? this.inode.truncate(end) : 0;
    const operation = mode & ~Fallocate.keepSize;
    if (error < 0 || operation === Fallocate.allocate) return error;
    if (operation !== Fallocate.zeroRange && !(operation === Fallocate.punchHole && keep)) return -EOPNOTSUPP;
    const last = Math.min(end, this.inode.sizeBytes);
    if (last > position) new Uint8Array(this.inode.content, position, last - position).fill(0);
    return 0;
  }

  flock(operation: number): number {
    const { flocks } = this.inode;
    const wanted = operation & ~Flock.nonBlocking;
    if (wanted !== Flock.unlock) {
      const others = [...flocks].filter(([owner]) => owner !== this);
      const conflict = others.some(([, held]) => held === Flock.exclusive || wanted === Flock.exclusive);
      if (conflict) return -EAGAIN;
      flocks.set(this, wanted);
    } else flocks.delete(this);
    return 0;
  }

  lockRange(type: number, start: number, length: number): number {
    if (this.testRange(type, start, length)) return -EAGAIN;
    const end = length === 0 ? Number.POSITIVE_INFINITY : start + length;
    const kept = this.inode.ranges.flatMap((held) => (held.owner === this ? without(held, start, end) : [held]));
    if (type !== RangeLock.unlock) kept.push({ owner: this, type, start, end });
    this.inode.ranges = kept;
    return 0;
  }

  testRange(type: number, start: number, length: number): boolean {
    if (type === RangeLock.unlock) return false;
    const end = length === 0 ? Number.POSITIVE_INFINITY : start + length;
    return this.inode.ranges.some(
      (held) =>
        held.owner !== this &&
        held.start < end &&
        start < held.end &&
        (held.type === RangeLock.write || type === RangeLock.write),
    );
  }

  override released(): void {
    this.inode.flocks.delete(this);
    this.inode.ranges = this.inode.ranges.filter((held) => held.owner !== this);
  }
}

function without(held: HeldRange, start: number, end: number): HeldRange[] {
  const parts = [
    { ...held, end: Math.min(held.end, start) },
    { ...held, start: Math.max(held.start, end) },
  ];
  return parts.filter((part) => part.start < part.end);
}
