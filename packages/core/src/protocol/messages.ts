/**
 * The vfio-user protocol 0.1 as data: QEMU docs/interop/vfio-user.rst. All numbers are little endian; sizes and offsets
 * are bytes. Offsets of payload fields count from the end of the 16-byte header.
 */

/** Chapter "Commands". Number 14 is not in use. */
export const Command = {
  version: 1,
  dmaMap: 2,
  dmaUnmap: 3,
  deviceGetInfo: 4,
  deviceGetRegionInfo: 5,
  deviceGetRegionIoFds: 6,
  deviceGetIrqInfo: 7,
  deviceSetIrqs: 8,
  regionRead: 9,
  regionWrite: 10,
  dmaRead: 11,
  dmaWrite: 12,
  deviceReset: 13,
  regionWriteMulti: 15,
  deviceFeature: 16,
  migDataRead: 17,
  migDataWrite: 18,
} as const;

export const HEADER_BYTES = 16;
/** Fields of the header that starts every message. */
export const Header = { id: 0, command: 2, sizeBytes: 4, flags: 8, error: 12 } as const;
export const HeaderFlag = { typeMask: 0xf, command: 0, reply: 1, noReply: 0x10, error: 0x20 } as const;

export const Version = { major: 0, minor: 2, data: 4 } as const;
export const VERSION_FIXED_BYTES = 4;
export const PROTOCOL_MAJOR = 0;
export const PROTOCOL_MINOR = 1;

/** The JSON of VERSION, as it is on the wire. */
export interface VersionData {
  readonly capabilities?: Capabilities;
}
export interface Capabilities {
  /** Fds that the sender takes in one message; 1 when it doesn't say. */
  readonly max_msg_fds?: number;
  /** Largest `count` of a data transfer, bytes; 1 MiB when it doesn't say. */
  readonly max_data_xfer_size?: number;
  readonly max_dma_maps?: number;
  /** Page sizes of DMA maps, or'ed. */
  readonly pgsizes?: number;
  readonly write_multiple?: boolean;
  readonly twin_socket?: { readonly supported?: boolean; readonly fd_index?: number };
  readonly migration?: { readonly pgsize?: number; readonly max_bitmap_size?: number };
}

export const DmaMap = { argsz: 0, flags: 4, offset: 8, iova: 16, sizeBytes: 24 } as const;
export const DMA_MAP_BYTES = 32;
export const DmaMapFlag = { readable: 1, writable: 2 } as const;

export const DmaUnmap = { argsz: 0, flags: 4, iova: 8, sizeBytes: 16 } as const;
export const DMA_UNMAP_BYTES = 24;
/** linux/vfio.h VFIO_DMA_UNMAP_FLAG_*: a dirty bitmap isn't offered; `all` wants address and size 0. */
export const DmaUnmapFlag = { getDirtyBitmap: 1, all: 2 } as const;

export const DeviceInfo = { argsz: 0, flags: 4, numRegions: 8, numIrqs: 12 } as const;
export const DEVICE_INFO_BYTES = 16;
export const DeviceInfoFlag = { reset: 1, pci: 2 } as const;

/** linux/vfio.h VFIO_PCI_*_REGION_INDEX. BAR n has index n. */
export const RegionIndex = { bar0: 0, bar1: 1, bar2: 2, bar3: 3, bar4: 4, bar5: 5, rom: 6, config: 7, vga: 8 } as const;
export const REGION_COUNT = 9;

export const RegionInfo = { argsz: 0, flags: 4, index: 8, capOffset: 12, sizeBytes: 16, offset: 24 } as const;
export const REGION_INFO_BYTES = 32;
export const RegionFlag = { read: 1, write: 2, mmap: 4, caps: 8 } as const;
/** Capability header, relative to the capability. */
export const RegionCap = { id: 0, version: 2, next: 4 } as const;
export const REGION_CAP_SPARSE_MMAP = 1;
/** The sparse mmap capability, header included: then `count` areas of (offset, size), 16 bytes each. */
export const SparseMmap = { count: 8, reserved: 12, areas: 16 } as const;
export const SPARSE_MMAP_BYTES = 16;
export const SparseArea = { offset: 0, sizeBytes: 8 } as const;
export const SPARSE_AREA_BYTES = 16;

export const RegionIoFds = { argsz: 0, flags: 4, index: 8, count: 12 } as const;
export const REGION_IO_FDS_BYTES = 16;

/** linux/vfio.h VFIO_PCI_*_IRQ_INDEX. */
export const IrqIndex = { intx: 0, msi: 1, msix: 2, err: 3, req: 4 } as const;
export const IRQ_COUNT = 5;

export const IrqInfo = { argsz: 0, flags: 4, index: 8, count: 12 } as const;
export const IRQ_INFO_BYTES = 16;
export const IrqInfoFlag = { eventfd: 1, maskable: 2, automasked: 4, noresize: 8 } as const;

export const IrqSet = { argsz: 0, flags: 4, index: 8, start: 12, count: 16, data: 20 } as const;
export const IRQ_SET_BYTES = 20;
export const IrqSetFlag = {
  dataNone: 1,
  dataBool: 2,
  dataEventfd: 4,
  dataMask: 7,
  mask: 8,
  unmask: 0x10,
  trigger: 0x20,
  actionMask: 0x38,
} as const;

/** REGION_READ and REGION_WRITE, requests and replies. */
export const RegionAccess = { offset: 0, region: 8, count: 12, data: 16 } as const;
export const REGION_ACCESS_BYTES = 16;

/** REGION_WRITE_MULTI: entries of 24 bytes, each one write of at most 8 bytes. The reply is `writeCount` alone. */
export const RegionWriteMulti = { writeCount: 0, writes: 8 } as const;
export const REGION_WRITE_MULTI_BYTES = 8;
export const REGION_WRITE_ENTRY_BYTES = 24;
export const REGION_WRITE_ENTRY_DATA_BYTES = 8;

/** DMA_READ and DMA_WRITE: requests of the server. The reply to a write may be the header alone (QEMU before 11). */
export const DmaAccess = { iova: 0, count: 8, data: 16 } as const;
export const DMA_ACCESS_BYTES = 16;

export const DeviceFeature = { argsz: 0, flags: 4, data: 8 } as const;
export const DEVICE_FEATURE_BYTES = 8;

export const DEFAULT_MAX_DATA_XFER_BYTES = 1024 * 1024;
/** What this server takes: a data transfer of the largest size, or a VERSION with much JSON. A larger message ends the connection. */
export const MAX_MESSAGE_BYTES = DEFAULT_MAX_DATA_XFER_BYTES + 64 * 1024;
export const MAX_MESSAGE_FDS = 16;
export const MAX_DMA_MAPS = 65535;
/** QEMU receives the VERSION reply into a buffer as large as its own request, header included. */
export const MAX_VERSION_REPLY_BYTES = 214;
