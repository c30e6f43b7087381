// Numbers of Linux that are the same on every architecture Node runs on. O_* differ (O_DIRECT): take those from
// node:fs constants; errno numbers are node:os constants.errno.

/** Columns that fdInfo fills in. A file is the same file when dev and both halves of the inode number agree. */
export const FdInfo = {
  dev: 0,
  inodeLow: 1,
  inodeHigh: 2,
  /** st_size, bytes; 0 for a block device (see fileSize). */
  size: 3,
  /** One of FileType. */
  type: 4,
  /** F_GET_SEALS, a set of Seal; -1 where the file has no seals. */
  seals: 5,
  /** F_GETFL: the access mode is `flags & 3`. */
  flags: 6,
  /** st_blksize, bytes. */
  blockSize: 7,
  columns: 8,
} as const;

/** S_IFMT of st_mode. An eventfd is 0. */
export const FileType = {
  anonymous: 0,
  pipe: 0x1000,
  character: 0x2000,
  directory: 0x4000,
  block: 0x6000,
  regular: 0x8000,
  socket: 0xc000,
} as const;

export const Seal = { seal: 1, shrink: 2, grow: 4, write: 8, futureWrite: 16 } as const;

/** flock(2) operations. */
export const Flock = { shared: 1, exclusive: 2, nonBlocking: 4, unlock: 8 } as const;

/** Types of an OFD range lock (F_OFD_SETLK). */
export const RangeLock = { read: 0, write: 1, unlock: 2 } as const;

/** Modes of fallocate(2); punchHole needs keepSize with it. */
export const Fallocate = { allocate: 0, keepSize: 1, punchHole: 2, zeroRange: 0x10 } as const;

/** What a slot of a ring asks for. */
export const RequestOp = {
  /** position, segments. */
  read: 1,
  /** position, segments, flags (WriteFlags). */
  write: 2,
  /** fdatasync. */
  flush: 3,
  /** position, length, flags (Fallocate). */
  fallocate: 4,
  /** BLKDISCARD of a block device: position, length. */
  discard: 5,
  /** BLKZEROOUT of a block device: position, length. */
  zeroOut: 6,
} as const;

/** RWF_*: dsync makes one write durable before it completes (FUA). */
export const WriteFlags = { dsync: 2 } as const;

/** What a watch's callback is told: a set of these, or a negative errno. */
export const WatchEvent = { readable: 1, writable: 2 } as const;
