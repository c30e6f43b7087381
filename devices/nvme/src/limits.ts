/** What this controller has, in one place: identify, CAP and the checks all say the same. */

/** I/O submission queues, and I/O completion queues, besides the admin pair. */
export const ioQueues = 64;
/** Queues of each kind, the admin queue included; also the MSI-X vectors. */
export const queueCount = ioQueues + 1;
/** Entries of the largest queue (CAP.MQES + 1). */
export const maxQueueEntries = 4096;

/** CAP.MPSMIN and CAP.MPSMAX: memory pages of 4 KiB to 64 KiB (2 to the power of 12 + n). */
export const mpsMin = 0;
export const mpsMax = 4;
/** Most data of one command, as 2 to the power of `mdts` times the smallest memory page: 1 MiB. */
export const mdts = 8;
export const maxTransferBytes = 4096 << mdts;
/** Pages of the largest transfer: one more than it fills, when it begins inside a page. */
export const maxPages = (1 << mdts) + 1;
/** Data blocks and bit buckets of one SGL at most, where they are of any length (Linux makes up to 128 of them, SPDK 250); a longer SGL fails. */
export const sglPieces = 512;
/** Descriptors of one SGL at most, of every kind: a chain that leads round and round has an end. */
export const sglDescriptors = 4 * sglPieces;
/** Pieces of a transfer, however it is described, and wherever memory of ours for it is to be had: also where that is in crumbs, which cuts pieces. */
export const maxSegments = sglPieces + maxPages;

/** CNTLID: the only controller of its subsystem. */
export const controllerId = 0;
/** Namespaces that there can be (NN), or as many as drives are given. SeaBIOS identifies every one of them. */
export const namespaceLimit = 16;

/**
 * Source ranges of a Copy (MSRC + 1), and bytes of all of them together (MCL, and MSSRL as far as it can say): as much as is copied well within a
 * driver's timeout.
 */
export const copyRanges = 128;
export const copyBytes = 1 << 27;
/** Bytes that a Copy has in memory of ours at a time. */
export const copyPieceBytes = 1 << 18;
/** Bytes that a Compare has there: as many of them as there are slots find room. */
export const comparePieceBytes = 1 << 18;
/** Bytes that a Verify reads at a time. */
export const verifyPieceBytes = 1 << 20;
/** Bytes that a Copy or Verify moves in a row, where the drive is done at once. */
export const turnBytes = 1 << 20;

/** Ranges that Write Uncorrectable has marked at most, of all namespaces together. */
export const uncorrectableRanges = 1024;

/** Doorbells are next to each other (CAP.DSTRD 0): 2 words a queue. */
export const doorbellsOffset = 0x1000;
export const doorbellPageBytes = 0x1000;
export const msixTableOffset = 0x2000;
export const msixPbaOffset = 0x3000;
export const barSizeBytes = 0x4000;

/** Commands under way at most; what does not fit waits in its queue. */
export const commandSlots = 512;
/** Slots that only admin commands take, so that Abort and queue deletion work while every I/O stalls. */
export const adminSlots = 16;
/**
 * Commands under way at most while guest memory is behind messages: their data takes memory of ours, 1 MiB each and twice that for Compare, and
 * must never run out of it.
 */
export const stagedCommands = 112;
/** Commands that wait for the limits of their drives without a slot; more of them take slots. As many as Linux has for a drive on four processors. */
export const waitingCommands = 2048;
/** Asynchronous Event Requests outstanding at most (AERL + 1), and Aborts (ACL + 1). */
export const asyncEventRequests = 4;
export const abortLimit = 4;
/** Entries of the error information log (ELPE + 1). */
export const errorLogEntries = 64;

/** Tens of milliseconds aside, how long a reset may take: CAP.TO and CRTO.CRWMT, in units of 500 ms. */
export const readyTimeout = 255;
/** RTD3 entry latency, microseconds: how long a driver waits for a shutdown, which flushes. */
export const shutdownTimeoutUs = 60_000_000;
