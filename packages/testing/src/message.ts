import { HEADER_BYTES, Header, HeaderFlag } from '@sidecard/core';

/** A message as it came. */
export interface Message {
  readonly id: number;
  readonly command: number;
  readonly flags: number;
  /** A positive errno when the Error flag is set. */
  readonly error: number;
  readonly payload: Uint8Array;
  readonly fds: number[];
}

export interface HeaderFields {
  readonly id?: number;
  readonly flags?: number;
  readonly error?: number;
  /** What the header says of the size, when it is to lie. */
  readonly sizeBytes?: number;
}

/** A whole message. */
export function encodeMessage(command: number, payload: Uint8Array, fields: HeaderFields = {}): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(Header.id, fields.id ?? 0, true);
  view.setUint16(Header.command, command, true);
  view.setUint32(Header.sizeBytes, fields.sizeBytes ?? bytes.length, true);
  view.setUint32(Header.flags, fields.flags ?? 0, true);
  view.setUint32(Header.error, fields.error ?? 0, true);
  bytes.set(payload, HEADER_BYTES);
  return bytes;
}

export function decodeMessage(bytes: Uint8Array, fds: number[]): Message {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return {
    id: view.getUint16(Header.id, true),
    command: view.getUint16(Header.command, true),
    flags: view.getUint32(Header.flags, true),
    error: view.getUint32(Header.error, true),
    payload: bytes.slice(HEADER_BYTES),
    fds,
  };
}

export function isReply(message: Message): boolean {
  return (message.flags & HeaderFlag.typeMask) === HeaderFlag.reply;
}

type Layout = { readonly [name: string]: number };
/** Values by field name; what is left out is 0. */
export type FieldsOf<L extends Layout> = { readonly [N in keyof L]?: number | bigint };

/**
 * A payload of `sizeBytes` with fields of a layout in protocol/messages.ts: a field is as wide as it is far to the next one, at most 8
 * bytes.
 */
export function encodeFields<L extends Layout>(layout: L, sizeBytes: number, fields: FieldsOf<L>): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  const view = new DataView(bytes.buffer);
  for (const [name, value] of Object.entries(fields)) {
    const offset = layout[name]!;
    const width = fieldBytes(layout, offset, sizeBytes);
    const number = BigInt(value as number | bigint);
    if (width === 8) view.setBigUint64(offset, BigInt.asUintN(64, number), true);
    else if (width === 4) view.setUint32(offset, Number(BigInt.asUintN(32, number)), true);
    else view.setUint16(offset, Number(BigInt.asUintN(16, number)), true);
  }
  return bytes;
}

/** Reads the fields back; those beyond the payload are left out. 64-bit numbers above 2**53 are rounded. */
export function decodeFields<L extends Layout>(
  layout: L,
  sizeBytes: number,
  payload: Uint8Array,
): { [N in keyof L]: number } {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  const fields: { [name: string]: number } = {};
  for (const [name, offset] of Object.entries(layout)) {
    const width = fieldBytes(layout, offset, sizeBytes);
    if (offset >= sizeBytes || offset + width > payload.length) continue;
    if (width === 8) fields[name] = Number(view.getBigUint64(offset, true));
    else if (width === 4) fields[name] = view.getUint32(offset, true);
    else fields[name] = view.getUint16(offset, true);
  }
  return fields as { [N in keyof L]: number };
}

function fieldBytes(layout: Layout, offset: number, sizeBytes: number): number {
  const next = Math.min(...Object.values(layout).filter((one) => one > offset), Math.max(sizeBytes, offset + 2));
  return next - offset >= 8 ? 8 : next - offset >= 4 ? 4 : 2;
}
