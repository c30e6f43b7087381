import { registers, ro, rw, u8, wo } from '@sidecard/core';

/** BAR2 as Linux's drivers know it (gpio-pci-idio-16). */
export const Idio16Registers = registers(8, {
  outputsLow: u8(0, rw),
  inputsLow: u8(1, ro),
  outputsHigh: u8(4, rw),
  inputsHigh: u8(5, ro),
  status: u8(6, { changed: ro(1, 0), asserted: ro(2) }),
  filtersLow: u8(7, rw),
});

/** The same bytes, as commands: read or written, whatever the value. */
export const Idio16Commands = registers(8, {
  clearInterrupt: u8(1, wo),
  interrupts: u8(2, rw),
  filters: u8(3, rw),
});
