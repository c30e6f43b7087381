import { HEADER_BYTES, Header, HeaderFlag } from './messages.ts';

/** A 64-bit number as a Number: exact below 2**53, rounded above, where it matches no region. */
export function getUint64(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * 0x1_0000_0000 + view.getUint32(at, true);
}

/** Writes an integer below 2**53 as 64 bits. */
export function setUint64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value >>> 0, true);
  view.setUint32(at + 4, Math.floor(value / 0x1_0000_0000), true);
}

export function writeHeader(
  view: DataView,
  at: number,
  id: number,
  command: number,
  sizeBytes: number,
  flags: number,
  error: number,
): void {
  view.setUint16(at + Header.id, id, true);
  view.setUint16(at + Header.command, command, true);
  view.setUint32(at + Header.sizeBytes, sizeBytes, true);
  view.setUint32(at + Header.flags, flags, true);
  view.setUint32(at + Header.error, error, true);
}

/** "If an error occurs, the reply message must only include the reply header" (chapter Header). */
export function writeErrorReply(view: DataView, at: number, id: number, command: number, error: number): void {
  writeHeader(view, at, id, command, HEADER_BYTES, HeaderFlag.reply | HeaderFlag.error, error);
}
