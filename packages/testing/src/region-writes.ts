import { REGION_WRITE_ENTRY_BYTES, REGION_WRITE_MULTI_BYTES, RegionAccess, RegionWriteMulti } from '@sidecard/core';

/** One write of at most 8 bytes. */
export interface RegionWrite {
  readonly region: number;
  readonly offset: number | bigint;
  readonly bytes: Uint8Array;
  /** What the entry says of the length, when it is to lie. */
  readonly count?: number;
}

/** The payload of REGION_WRITE_MULTI. */
export function encodeWrites(writes: readonly RegionWrite[], writeCount: number | bigint = writes.length): Uint8Array {
  const payload = new Uint8Array(REGION_WRITE_MULTI_BYTES + writes.length * REGION_WRITE_ENTRY_BYTES);
  const view = new DataView(payload.buffer);
  view.setBigUint64(RegionWriteMulti.writeCount, BigInt.asUintN(64, BigInt(writeCount)), true);
  for (const [i, { region, offset, bytes, count }] of writes.entries()) {
    const at = RegionWriteMulti.writes + i * REGION_WRITE_ENTRY_BYTES;
    view.setBigUint64(at + RegionAccess.offset, BigInt.asUintN(64, BigInt(offset)), true);
    view.setUint32(at + RegionAccess.region, region, true);
    view.setUint32(at + RegionAccess.count, count ?? bytes.length, true);
    payload.set(bytes.subarray(0, 8), at + RegionAccess.data);
  }
  return payload;
}
