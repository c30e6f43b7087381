import type { RingColumns } from './ring-columns.ts';

export interface RingOptions {
  /** Most segments of one request, 1 to 1024; 64 unless told. */
  readonly maxSegments?: number;
  /** Leave io_uring alone and use the pool of threads. */
  readonly forceThreads?: boolean;
}

/**
 * Asynchronous file I/O straight to and from mapped memory. For use by one thread. A slot is free until it is
 * submitted, and again once poll has reported it; submit copies its row, which may be filled in anew at once. All that is
 * wrong with a request becomes its completion: -EFAULT for a bad handle or range, -EINVAL for a bad op, count or
 * position. A transfer may be short, as that of pread and pwrite. Requests in flight at the same time keep no order.
 *
 *     ring.op[slot] = RequestOp.read; ring.fd[slot] = fd; ring.position[slot] = 4096; ring.flags[slot] = 0;
 *     ring.segments[slot] = 1; ring.setSegment(slot, 0, handle, offset, length);
 *     ring.queue[0] = slot; ring.submit(1);
 *     for (let i = 0, n = ring.poll(); i < n; i++) done(ring.completions[2 * i], ring.completions[2 * i + 1]);
 */
export interface Ring extends RingColumns {
  readonly kind: 'io_uring' | 'threads' | 'fake';
  /** Readable when completions have come and the ring is armed (it is at first). Watch it, drain it on waking. */
  readonly eventFd: number;
  /** Requests submitted and not yet reported by poll. */
  readonly inFlight: number;
  /**
   * Starts the first `count` slots of `queue`, with one system call. 0, or -EBUSY (a slot is in flight) or -EINVAL (no such
   * slot), and then nothing is submitted.
   */
  submit(count: number): number;
  /** Reports completions in `completions`; answers how many. Finding none costs two or four loads and no call. */
  poll(): number;
  /** Before sleep: asks for the eventFd, and answers true when nothing has completed meanwhile. */
  arm(): boolean;
  /** Awake: completions need no eventFd any more. */
  disarm(): void;
  /** Waits until nothing is in flight, and drops the completions. Close the watch of eventFd first. */
  close(): void;
}
