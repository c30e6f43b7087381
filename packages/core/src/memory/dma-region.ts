/** A region of guest memory that the client shares or answers for (VFIO_USER_DMA_MAP). */
export interface DmaRegion {
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
