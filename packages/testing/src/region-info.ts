import {
  REGION_CAP_SPARSE_MMAP,
  REGION_INFO_BYTES,
  RegionCap,
  RegionInfo,
  SPARSE_AREA_BYTES,
  SparseArea,
  SparseMmap,
} from '@sidecard/core';
import { decodeFields, type Message } from './message.ts';

export interface MmapArea {
  readonly offset: number;
  readonly sizeBytes: number;
}

/** What GET_REGION_INFO said. */
export interface RegionDescription {
  /** Bytes that the whole answer takes. */
  readonly argsz: number;
  readonly index: number;
  readonly flags: number;
  readonly sizeBytes: number;
  /** Where the region begins in `fds[0]`, bytes. */
  readonly offset: number;
  /** Parts that can be mapped; empty when the answer did not fit, or nothing can be. */
  readonly areas: readonly MmapArea[];
  readonly fds: readonly number[];
}

export function decodeRegionInfo(message: Message): RegionDescription {
  const { payload, fds } = message;
  const info = decodeFields(RegionInfo, REGION_INFO_BYTES, payload);
  const { argsz, index, flags, sizeBytes, offset } = info;
  const areas: MmapArea[] = [];
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  for (let at = info.capOffset; at !== 0 && at + SparseMmap.areas <= payload.length; ) {
    if (view.getUint16(at + RegionCap.id, true) === REGION_CAP_SPARSE_MMAP) {
      const count = view.getUint32(at + SparseMmap.count, true);
      for (let i = 0; i < count; i++) {
        const area = at + SparseMmap.areas + i * SPARSE_AREA_BYTES;
        areas.push({
          offset: Number(view.getBigUint64(area + SparseArea.offset, true)),
          sizeBytes: Number(view.getBigUint64(area + SparseArea.sizeBytes, true)),
        });
      }
    }
    at = view.getUint32(at + RegionCap.next, true);
  }
  return { argsz, index, flags, sizeBytes, offset, areas, fds };
}
