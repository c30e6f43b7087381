import type { Segments } from '@sidecard/core';

type Piece = (bytes: Uint8Array, offset: number, lengthBytes: number, at: number) => void;

/** Calls `piece` for each part of [skip, skip + lengthBytes) of the segments; `at` counts from `skip`. Not for hot paths. */
function eachPiece(segments: Segments, skip: number, lengthBytes: number, piece: Piece): void {
  let position = 0;
  for (let i = 0; i < segments.count && position < skip + lengthBytes; i++) {
    const start = Math.max(position, skip);
    const end = Math.min(position + segments.length[i]!, skip + lengthBytes);
    if (start < end)
      piece(segments.area[i]!.bytes, segments.offset[i]! + (start - position), end - start, start - skip);
    position += segments.length[i]!;
  }
}

/** Copies bytes of the segments, from `skip` on, to `target`. */
export function gather(
  segments: Segments,
  skip: number,
  target: Uint8Array,
  targetOffset: number,
  lengthBytes: number,
): void {
  eachPiece(segments, skip, lengthBytes, (bytes, offset, count, at) => {
    target.set(bytes.subarray(offset, offset + count), targetOffset + at);
  });
}

export function scatter(
  segments: Segments,
  skip: number,
  source: Uint8Array,
  sourceOffset: number,
  lengthBytes: number,
): void {
  eachPiece(segments, skip, lengthBytes, (bytes, offset, count, at) => {
    bytes.set(source.subarray(sourceOffset + at, sourceOffset + at + count), offset);
  });
}

export function zero(segments: Segments, skip: number, lengthBytes: number): void {
  eachPiece(segments, skip, lengthBytes, (bytes, offset, count) => {
    bytes.fill(0, offset, offset + count);
  });
}
