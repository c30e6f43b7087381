/** Status codes: type in bits 10:8, code in bits 7:0 (NVMe Base 2.0, 4.2.3; NVM Command Set 1.0, 3.1.2). */
export const Status = {
  success: 0x000,
  invalidOpcode: 0x001,
  invalidField: 0x002,
  dataTransferError: 0x004,
  internalError: 0x006,
  abortRequested: 0x007,
  invalidNamespace: 0x00b,
  commandSequenceError: 0x00c,
  invalidPrpOffset: 0x013,
  namespaceWriteProtected: 0x020,
  lbaOutOfRange: 0x080,
  capacityExceeded: 0x081,
  completionQueueInvalid: 0x100,
  invalidQueueIdentifier: 0x101,
  invalidQueueSize: 0x102,
  abortLimitExceeded: 0x103,
  asyncEventLimitExceeded: 0x105,
  invalidInterruptVector: 0x108,
  invalidLogPage: 0x109,
  invalidQueueDeletion: 0x10c,
  featureNotSaveable: 0x10d,
  featureNotChangeable: 0x10e,
  featureNotNamespaceSpecific: 0x10f,
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
    case Status.writeFault:
    case Status.unrecoveredRead:
      return true;
    default:
      return false;
  }
}
