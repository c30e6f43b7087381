import { HostBuffer, type MappableMemory } from '@sidecard/core';
import { type Native, systemError } from '@sidecard/native';
import { doorbellPageBytes } from '../limits.ts';

/** The doorbells' page as memory that a client maps. @throws a system error. */
export function createDoorbellPage(native: Native): MappableMemory {
  const fd = native.memfd('nvme-doorbells', doorbellPageBytes);
  const buffer = native.map(fd, 0, doorbellPageBytes, true);
  if (typeof buffer === 'number') throw systemError(buffer, 'mmap');
  return { fd, fdOffset: 0, memory: new HostBuffer(buffer) };
}
