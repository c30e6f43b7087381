import type { Interrupts } from './device.ts';

/** What the state machine does with the client's fds, injected. */
export interface EventFds {
  /** Adds 1, without blocking; a full one counts as signalled. */
  signal(fd: number): void;
  /** Takes what is in it, without blocking. */
  drain(fd: number): void;
  close(fd: number): void;
  /** Calls `readable` whenever it is readable, until the returned function is called. */
  watch(fd: number, readable: () => void): () => void;
}

/** Interrupt indexes of a PCI device (VFIO_PCI_*_IRQ_INDEX). */
export const irqIndex = { intx: 0, msi: 1, msix: 2, error: 3, request: 4 } as const;
export const irqIndexCount = 5;

export declare class InterruptController implements Interrupts {
  constructor(eventFds: EventFds);
  readonly mode: 'none' | 'intx' | 'msi' | 'msix';
  readonly vectors: number;
  signal(vector: number): void;
  update(): void;
  /** GET_IRQ_INFO: how many; 0 for an index that does not exist. */
  count(index: number): number;
  /** GET_IRQ_INFO: VFIO_IRQ_INFO_: EVENTFD 1, MASKABLE 2, AUTOMASKED 4, NORESIZE 8. */
  flags(index: number): number;
  /**
   * SET_IRQS. `flags` as VFIO_IRQ_SET_*; DATA_BOOL's bytes are in `data` at `dataOffset`. Owns `fds` from here on, also when it
   * answers an errno (EINVAL); else 0.
   */
  set(
    index: number,
    flags: number,
    start: number,
    count: number,
    data: Uint8Array,
    dataOffset: number,
    dataLengthBytes: number,
    fds: readonly number[],
  ): number;
  /** host.fail(): signals ERR; false when the client has not asked for it. */
  fail(): boolean;
  /** REQ: asks the client to let the device go; false when it has not asked for it. */
  requestRelease(): boolean;
  /** The client has gone: closes every fd, keeps the driver's state. */
  disconnect(): void;
}
