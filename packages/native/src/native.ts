import type { Ring, RingOptions } from './ring.ts';

/** Readiness of an fd on the event loop. Close it before the fd is closed. */
export interface Watch {
  /** It is started by watch(); start and stop cost a system call each. */
  start(): void;
  stop(): void;
  /** Whether it keeps the process alive while started (it does unless told). */
  ref(): void;
  unref(): void;
  /** For good. */
  close(): void;
}

/**
 * What the framework needs of the kernel. Where nothing else is said a call answers 0 or what it names, or a **negative
 * errno number**, and throws nothing; "throws" are Errors with `code`, `errno` (negative) and `syscall`. Sizes, offsets and
 * positions are bytes, integers from 0 to 2**53 - 1; anything else is -EINVAL. Every fd made here is close-on-exec.
 */
export interface Native {
  // Sockets: UNIX streams (and TCP's that listen), non-blocking.

  /** Binds and listens. The socket file never has more rights than `mode`, whatever the umask. Throws (EADDRINUSE, ENOENT, ...). */
  listen(path: string, mode: number, backlog: number): number;
  /** Listens at an IPv4 or IPv6 address in figures; port 0 is one that is free. Throws (EADDRINUSE, EADDRNOTAVAIL, EACCES, EINVAL for no address). */
  listenTcp(address: string, port: number, backlog: number): number;
  /** The port of a TCP socket. */
  tcpPort(fd: number): number;
  /** Throws (ECONNREFUSED, ENOENT, EAGAIN where many wait to be accepted, ...). */
  connect(path: string): number;
  /** An fd, or -EAGAIN. */
  accept(fd: number): number;
  /** Throws. */
  socketPair(): [number, number];
  /**
   * Reads what is there, to at most `length` bytes: their number, 0 at the end of the stream, -EAGAIN.
   * `fds[0]` becomes the number of fds that came, `fds[1]` and on the fds. The kernel ends a read after the buffer that carries fds, so they
   * belong to the last message begun in these bytes. Fds that do not fit into `fds`, or that the process cannot open, are lost: all of them are
   * closed, the result is -EMSGSIZE, and fds[0] is minus the number of bytes that came.
   * With `peek` the bytes stay, and each call makes new duplicates of the fds.
   */
  receive(fd: number, buffer: Uint8Array, offset: number, length: number, fds: Int32Array, peek?: boolean): number;
  /** Bytes sent, perhaps fewer than `length`, or -EAGAIN. The `fds[0]` fds (at most 253) went with the first byte: send the rest without. */
  send(fd: number, buffer: Uint8Array, offset: number, length: number, fds: Int32Array | null): number;
  /** Closes a stream. The peer reads what was sent to it and then the end, also when bytes of its own were left unread: `close` would reset it. */
  hangUp(fd: number): number;
  /** 1 for a listening socket, 0, or -ENOTSOCK. */
  isListening(fd: number): number;

  // File descriptors.

  close(fd: number): number;
  /** Non-blocking. Throws. */
  eventfd(): number;
  /**
   * Adds 1 to an eventfd (writes 8 bytes to a pipe): 0, or -EAGAIN when it is full. Does not block, also where the client
   * left its eventfd in blocking mode, and does not change that mode.
   */
  signal(fd: number): number;
  /** Reads an eventfd, never blocking: its counter, 0 when there is nothing, -EPIPE at the end of a pipe or socket. */
  drain(fd: number): number;
  dup(fd: number): number;
  /** Fills `out`, of FdInfo.columns elements. */
  fdInfo(fd: number, out: Float64Array): number;
  setCloexec(fd: number, on: boolean): number;
  /** Changes the open file description, so every process that shares it notices. */
  setNonblock(fd: number, on: boolean): number;
  /** Flock operations; -EAGAIN when somebody else has it. */
  flock(fd: number, operation: number): number;
  /** An OFD lock (F_OFD_SETLK) of RangeLock's type, -EAGAIN when it conflicts. Length 0 is to the end. */
  lockRange(fd: number, type: number, start: number, length: number): number;
  /** F_OFD_GETLK: 1 when such a lock would conflict, 0 when it would not. */
  testRange(fd: number, type: number, start: number, length: number): number;

  // Memory. A handle names it in I/O: C checks every (handle, offset, length), and a stale handle is refused.

  /** Throws. */
  memfd(name: string, sizeBytes: number): number;
  /** F_ADD_SEALS: a set of Seal. */
  seal(fd: number, seals: number): number;
  /**
   * Shared mapping of a file, kept until unmap. The offset is a multiple of the page size. Where the file is cut behind it, loads give zeroes instead of SIGBUS,
   * see `faulted`. Storing to a mapping that is not writable ends the process. Throws where the runtime refuses external buffers.
   */
  map(fd: number, offset: number, length: number, writable: boolean): ArrayBuffer | number;
  /** Detaches the buffer (all views of it become empty), then unmaps. -EBUSY while a ring has requests in flight on it, or a call of another thread; 0 when done before. */
  unmap(buffer: ArrayBuffer): number;
  /** The handle of a mapped or pinned buffer; -ENOENT. Not for hot paths. */
  mapping(buffer: ArrayBuffer | SharedArrayBuffer): number;
  /**
   * Gives ordinary memory a handle and keeps it alive. Do not transfer the buffer meanwhile. -EEXIST when it has one. Throws for a resizable one.
   * The handle is this thread's: to others it is -EFAULT, and each pins a SharedArrayBuffer for itself. (A handle of `map` is any thread's.)
   */
  pin(buffer: ArrayBuffer | SharedArrayBuffer): number;
  /** -EBUSY while in flight, -EINVAL. */
  unpin(handle: number): number;
  /** 1 when a load met the end of the file behind this mapping: a page of zeroes of our own is there now. -EINVAL. */
  faulted(handle: number): number;
  /** How often that happened to any mapping: one plain load tells that nothing has. */
  readonly faultCount: Uint32Array;
  /** mlock of a mapping, best effort (-ENOMEM, -EPERM: RLIMIT_MEMLOCK). */
  lockMemory(handle: number): number;
  /**
   * Copies between mappings: 0, or -EFAULT for a bad handle or range or a target that is not writable. 4 KiB take 102 ns, and `set` of a
   * `subarray` 83, but that leaves a view to the garbage collector.
   */
  copy(targetHandle: number, targetOffset: number, sourceHandle: number, sourceOffset: number, length: number): number;

  // Files, synchronous: for cold use.

  open(path: string, flags: number, mode: number): number;
  /** Of a regular file or block device. */
  fileSize(fd: number): number;
  /** Logical block size of a block device. */
  blkSectorSize(fd: number): number;
  /** What O_DIRECT wants: out[0] alignment of memory, out[1] of positions and lengths. -EOPNOTSUPP when the kernel does not say. */
  statxDioAlign(fd: number, out: Float64Array): number;
  truncate(fd: number, sizeBytes: number): number;
  /** Bytes, perhaps fewer; -EFAULT for a bad handle or range. */
  pread(fd: number, handle: number, offset: number, length: number, position: number): number;
  pwrite(fd: number, handle: number, offset: number, length: number, position: number): number;
  /** Modes are Fallocate's. */
  fallocate(fd: number, mode: number, position: number, length: number): number;
  blkDiscard(fd: number, position: number, length: number): number;
  blkZeroOut(fd: number, position: number, length: number): number;
  fdatasync(fd: number): number;

  // Files, asynchronous.

  /** Throws (EINVAL, ENOMEM, EMFILE). `entries` is the number of slots, 1 to 32768. */
  openRing(entries: number, options?: RingOptions): Ring;

  // The event loop, in the main thread and in workers.

  /** Level-triggered; the callback gets WatchEvent bits or a negative errno. One watch per fd. Throws (EEXIST, EPERM for a regular file). */
  watch(fd: number, events: 'read' | 'write', callback: (events: number) => void): Watch;

  // The host.

  /** Involuntary context switches of this thread so far. */
  contextSwitches(): number;
  /** CPUs that this thread may use. */
  cpuCount(): number;
  pinThread(cpu: number): number;
  /** Monotonic time, microseconds, with fractions. */
  nowUs(): number;
  yieldThread(): number;
}
