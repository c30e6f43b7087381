/** Interrupt indexes of a PCI device (VFIO_PCI_*_IRQ_INDEX). */
export const irqIndex = { intx: 0, msi: 1, msix: 2, error: 3, request: 4 } as const;
export const irqIndexCount = 5;

/** VFIO_IRQ_INFO_*. */
export const irqInfo = { eventFd: 1, maskable: 2, autoMasked: 4, noResize: 8 } as const;

/** VFIO_IRQ_SET_*: one kind of data and one action. */
export const irqSet = {
  dataNone: 0x01,
  dataBool: 0x02,
  dataEventFd: 0x04,
  actionMask: 0x08,
  actionUnmask: 0x10,
  actionTrigger: 0x20,
} as const;
const dataBits = 0x07;
const actionBits = 0x38;

/** True when a SET_IRQS makes sense for an index of `available` interrupts; count 0 is only for switching the index off. */
export function sensible(
  available: number,
  flags: number,
  start: number,
  count: number,
  dataLengthBytes: number,
  fdCount: number,
): boolean {
  const data = flags & dataBits;
  const action = flags & actionBits;
  if (flags !== (data | action) || !oneBit(data) || !oneBit(action)) return false;
  if (count === 0) return flags === (irqSet.dataNone | irqSet.actionTrigger) && start === 0 && fdCount === 0;
  if (!(start >= 0 && start < available && count > 0 && count <= available - start)) return false;
  if (data === irqSet.dataBool && dataLengthBytes < count) return false;
  return fdCount === 0 || (data === irqSet.dataEventFd && fdCount === count);
}

function oneBit(value: number): boolean {
  return value !== 0 && (value & (value - 1)) === 0;
}
