import type { Accessible } from '../bits/accessible.ts';
import type { HostBuffer } from '../bits/host-buffer.ts';
import { RegionFlag } from '../protocol/messages.ts';
import type { BarRegion } from './bar-region.ts';

/** A part of a region that the client may map. */
export interface MappableArea {
  readonly offset: number;
  readonly sizeBytes: number;
  readonly fd: number;
  /** Where the area is in the fd; the same fd and the same difference to `offset` for all areas of a region. */
  readonly fdOffset: number;
  readonly memory: HostBuffer;
}

/** A region of the device. */
export interface Region {
  readonly index: number;
  /** 0 where there is none. */
  readonly sizeBytes: number;
  /** Of RegionFlag. */
  readonly flags: number;
  readonly areas: readonly MappableArea[];
  /** @internal What answers. */ readonly contents: Accessible | null;
}

export function noRegion(index: number): Region {
  return { index, sizeBytes: 0, flags: 0, areas: [], contents: null };
}

export function plainRegion(index: number, contents: Accessible): Region {
  const flags = RegionFlag.read | RegionFlag.write;
  return { index, sizeBytes: contents.sizeBytes, flags, areas: [], contents };
}

export function barRegion(index: number, contents: BarRegion): Region {
  const areas = contents.windows.flatMap(({ offset, sizeBytes, memory }) =>
    memory ? [{ offset, sizeBytes, fd: memory.fd, fdOffset: memory.fdOffset, memory: memory.memory }] : [],
  );
  const plain = plainRegion(index, contents);
  return { ...plain, areas, flags: plain.flags | (areas.length > 0 ? RegionFlag.mmap : 0) };
}
