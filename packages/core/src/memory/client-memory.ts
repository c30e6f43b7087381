import type { Native } from '@sidecard/native';
import type { HostBuffer } from '../bits/host-buffer.ts';
import type { PollSource } from '../reactor/poll-source.ts';
import type { DmaChannel } from './dma-channel.ts';
import type { DmaResult, DmaTask, GuestMemory, ScatterList } from './guest-memory.ts';

/** A region of guest memory that the client shares or answers for (VFIO_USER_DMA_MAP). */
export interface DmaMap {
  readonly iova: number;
  readonly sizeBytes: number;
  /** Taken over, also when the map is refused; -1 where there is none: accesses are messages. */
  readonly fd: number;
  /** Where the region begins in the file, bytes. */
  readonly offset: number;
  /** The device may read it. */
  readonly readable: boolean;
  readonly writable: boolean;
}

export interface ClientMemoryOptions {
  readonly native: Native;
  /** As offered to the client (max_dma_maps). */
  readonly maxMaps?: number;
  /** Most memory that data on its way to or from unmapped guest memory may take, bytes. */
  readonly stagingLimitBytes?: number;
}

/**
 * The guest's memory as a client's DMA_MAPs describe it: mapped files, files that can't be mapped, and memory behind
 * messages. The session maps and unmaps and hands over answers to messages; the reactor polls it: tasks are resumed and
 * drained unmaps reported from `poll` alone.
 */
export declare class ClientMemory implements GuestMemory, PollSource {
  constructor(options: ClientMemoryOptions);
  /** Bus-master enable of the function; false and all DMA faults. */
  busMaster: boolean;
  /** Told from `poll` when an unmap that answered `draining` has ended. */
  onDrained: ((iova: number, sizeBytes: number) => void) | null;
  readonly mapped: boolean;
  readonly generation: number;
  /** Unmapped regions that I/O in flight still holds. */
  readonly draining: number;
  /** Maps in the table. */
  readonly count: number;

  /** Who sends DMA_READ and DMA_WRITE for this client. */
  connect(channel: DmaChannel): void;
  /** 0 or a positive errno: EINVAL (zero size, alignment, overflow, no access, beyond the file), EEXIST (overlap), ENOSPC (table full), EACCES. */
  map(map: DmaMap): number;
  /** Exactly a region of the table: 'done', or 'draining' until `onDrained`; else ENOENT, or EINVAL for a part of one. */
  unmap(iova: number, sizeBytes: number): 'done' | 'draining' | number;
  unmapAll(): 'done' | 'draining';
  /** The client has gone: as `unmapAll` and `dmaCancelled`, and nobody is told. */
  disconnect(): void;
  /** The answer to a message: `errno` 0, and for a read the bytes. Late ones are dropped. */
  dmaReplied(token: number, errno: number, source: Uint8Array, offset: number, lengthBytes: number): void;
  /** Ends every access under way with `fault`; answers that still come are dropped. */
  dmaCancelled(): void;

  load(task: DmaTask, iova: number, target: HostBuffer, targetOffset: number, lengthBytes: number): DmaResult;
  store(task: DmaTask, iova: number, source: HostBuffer, sourceOffset: number, lengthBytes: number): DmaResult;
  publish(task: DmaTask, iova: number, source: HostBuffer, sourceOffset: number, lengthBytes: number): DmaResult;
  peekWord(iova: number): number;
  pokeWord(iova: number, value: number): boolean;
  scatterList(maxSegments: number): ScatterList;

  poll(): boolean;
  arm(): boolean;
}
