import { MAX_MESSAGE_FDS } from './messages.ts';

/** What becomes of descriptors: close(2) in a daemon. */
export type CloseFd = (fd: number) => void;

/** File descriptors that come or go with bytes. Reused; whoever takes a descriptor out owns it. */
export class FdList {
  /** As the native calls have it: their number, then the descriptors. */
  readonly raw = new Int32Array(1 + MAX_MESSAGE_FDS);
  readonly fds = this.raw.subarray(1);

  get count(): number {
    return this.raw[0]!;
  }

  set count(count: number) {
    this.raw[0] = count;
  }

  /** Takes a descriptor out; -1 when there is none at that place any more. */
  take(index: number): number {
    if (index >= this.count) return -1;
    const fd = this.fds[index]!;
    this.fds[index] = -1;
    return fd;
  }

  /** Moves all of `from` behind what is here. What is over the limit of one message is closed. */
  append(from: FdList, closeFd: CloseFd): void {
    for (let i = 0; i < from.count; i++) {
      const fd = from.fds[i]!;
      if (fd < 0) continue;
      if (this.count < MAX_MESSAGE_FDS) this.fds[this.count++] = fd;
      else closeFd(fd);
    }
    from.count = 0;
  }

  /** Closes what was not taken out. */
  closeAll(closeFd: CloseFd): void {
    for (let i = 0; i < this.count; i++) {
      if (this.fds[i]! >= 0) closeFd(this.fds[i]!);
    }
    this.count = 0;
  }
}
