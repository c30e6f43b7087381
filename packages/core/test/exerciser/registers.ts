import { registers, ro, rw, u32, u64, wo } from '@sidecard/core';

export const DMA_BUFFER_BYTES = 0x10000;

/** BAR0 of the exerciser, up to its MSI-X table. */
export const ExerciserRegisters = registers(0x100, {
  id: u32(0x00, ro, 0x5ca1_ab1e),
  scratch: u32(0x04, rw),
  /** Counts reads of itself. */
  reads: u32(0x08, ro),
  /** Counts resets of any kind but `disconnect`. */
  resets: u32(0x0c, ro),
  dmaIova: u64(0x10, rw),
  dmaLength: u32(0x18, rw),
  /** 1 loads guest memory into the buffer, 2 stores the buffer. */
  dmaStart: u32(0x1c, wo),
  /** 0 idle, 1 under way, 2 done, 3 fault. */
  dmaStatus: u32(0x20, ro),
  /** Signals a message-signalled vector. */
  signal: u32(0x24, wo),
  /** The level of INTA#. */
  level: u32(0x28, rw),
  /** Requests "in flight": what it counts down to 0 by writes, DEVICE_RESET and FLR wait for. */
  inFlight: u32(0x2c, rw),
  /** 1 pins the region at dmaIova as I/O in flight would, 0 lets it go. */
  pin: u32(0x30, rw),
  /** 2: the last pin failed. */
  pinStatus: u32(0x34, ro),
  /** Reports that the device cannot go on. */
  fail: u32(0x38, wo),
  /** How often the device was told that a drain took too long. */
  failures: u32(0x3c, ro),
  /** What the vector told of has been served without its message. */
  withdraw: u32(0x40, wo),
});
