/** Status codes: type in bits 10:8, code in bits 7:0 (NVMe Base 2.0, 4.2.3; NVM Command Set 1.0, 3.1.2). */
export const Status = {
  success: 0x000,
  invalidOpcode: 0x001,
  invalidField: 0x002,
  dataTransferError: 0x004,
  internalError: 0x006,
  abortRequested: 0x007,
  abortedSqDeletion: 0x008,
  failedFused: 0x009,
  missingFused: 0x00a,
  invalidNamespace: 0x00b,
  commandSequenceError: 0x00c,
  invalidSglSegment: 0x00d,
  invalidSglCount: 0x00e,
  invalidSglLength: 0x00f,
  invalidSglType: 0x011,
  invalidPrpOffset: 0x013,
  operationDenied: 0x015,
  invalidSglOffset: 0x016,
  hostIdentifierFormat: 0x018,
  namespaceWriteProtected: 0x020,
  commandInterrupted: 0x021,
  lbaOutOfRange: 0x080,
  capacityExceeded: 0x081,
  namespaceNotReady: 0x082,
  formatInProgress: 0x084,
  completionQueueInvalid: 0x100,
  invalidQueueIdentifier: 0x101,
  invalidQueueSize: 0x102,
  abortLimitExceeded: 0x103,
  asyncEventLimitExceeded: 0x105,
  invalidInterruptVector: 0x108,
  invalidLogPage: 0x109,
  invalidFormat: 0x10a,
  invalidQueueDeletion: 0x10c,
  featureNotSaveable: 0x10d,
  featureNotChangeable: 0x10e,
  featureNotNamespaceSpecific: 0x10f,
  overlappingRange: 0x114,
  insufficientCapacity: 0x115,
  namespaceIdentifierUnavailable: 0x116,
  alreadyAttached: 0x118,
  namespaceIsPrivate: 0x119,
  notAttached: 0x11a,
  thinProvisioningUnsupported: 0x11b,
  controllerListInvalid: 0x11c,
  anaGroupInvalid: 0x124,
  commandSetUnsupported: 0x129,
  conflictingAttributes: 0x180,
  commandSizeLimitExceeded: 0x183,
  writeFault: 0x280,
  unrecoveredRead: 0x281,
  compareFailure: 0x285,
} as const;

export type StatusCode = (typeof Status)[keyof typeof Status];

/** Bits of the status field above the code. */
export const more = 1 << 13;
export const doNotRetry = 1 << 14;

/** Trouble that may have passed at the next try; a guest's mistakes never do. */
export function mayRetry(status: StatusCode): boolean {
  switch (status) {
    case Status.dataTransferError:
    case Status.internalError:
    case Status.abortRequested:
    case Status.abortedSqDeletion:
    case Status.commandInterrupted:
    case Status.namespaceNotReady:
    case Status.formatInProgress:
    case Status.writeFault:
    case Status.unrecoveredRead:
      return true;
    default:
      return false;
  }
}

/**
 * Why a command fails: a status code, and above it where in the command the mistake is, for the error log. A plain number, so that checks on
 * the way of every command allocate nothing. A StatusCode is a failure without a place; 0 is none.
 */
export type Failure = number;

/** Of the walks that find a command's data: guest memory is waited for. No failure is negative. */
export const walkPending: Failure = -1;

/** A mistake in the field that begins at `byte` of the submission queue entry, and there at `bit` (Parameter Error Location, NVMe Base 2.0, figure 206). */
export function mistake(status: StatusCode, byte: number, bit = 0): Failure {
  return status | ((((bit << 8) | byte) + 1) << 16);
}

export function statusOf(failure: Failure): StatusCode {
  return (failure & 0xffff) as StatusCode;
}

/** No place in the command (FFFFh), or the Parameter Error Location. */
export function locationOf(failure: Failure): number {
  return ((failure >>> 16) - 1) & 0xffff;
}

/** Where the fields of a submission queue entry begin, bytes (NVMe Base 2.0, figure 87). */
export const Field = {
  opcode: 0,
  /** FUSE at bit 0, PSDT at bit 6. */
  flags: 1,
  cid: 2,
  nsid: 4,
  cdw2: 8,
  cdw3: 12,
  mptr: 16,
  prp1: 24,
  /** SGL1, in place of the PRP entries. */
  sgl1: 24,
  prp2: 32,
  cdw10: 40,
  cdw11: 44,
  cdw12: 48,
  cdw13: 52,
  cdw14: 56,
  cdw15: 60,
} as const;
