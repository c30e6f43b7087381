import { le8, le16, registers, ro, rw, struct, u8 } from '@sidecard/core';

/** Size of the I/O BAR: as the Linux driver and other models of the card have it. Offsets without a register read zero. */
export const barBytes = 256;

/**
 * The card's registers, each a byte (PCI-IDIO-16 manual, chapter 4). Some do by being read what others do by being written; what those
 * give when read is not in the manual, and is zero here. An access of several bytes is one of each register, in their order.
 */
export const IdioRegisters = registers(8, {
  outputsLow: u8(0, rw),
  /** Written, with any value: clears the interrupt. */
  inputsLow: u8(1, ro),
  /** Read: interrupts on. Written, with any value: off. */
  interrupts: u8(2, ro),
  /** Read: filters of all inputs on. Written, with any value: off. */
  filters: u8(3, ro),
  outputsHigh: u8(4, rw),
  inputsHigh: u8(5, ro),
  /** The manual names it and shows no bits; these are what Linux's drivers ask for: older ones a change and `asserted`, newer ones `asserted`. */
  status: u8(6, { changedLow: ro(0), changedHigh: ro(1), asserted: ro(2) }),
  /** The filters of inputs 0 to 7 one by one; what is written counts while not all are on. */
  filtersLow: u8(7, rw),
});

/** What the card knows and no register shows. */
export const CardState = struct(8, {
  /** Levels at the input terminals, before the filters. */
  terminals: le16(0),
  interruptsOn: le8(2),
  allFiltered: le8(3),
});
