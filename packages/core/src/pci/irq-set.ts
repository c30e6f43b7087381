import { IrqSetFlag } from '../protocol/messages.ts';

/** True when a SET_IRQS makes sense for an index of `available` interrupts; count 0 is only for switching the index off. */
export function sensible(
  available: number,
  flags: number,
  start: number,
  count: number,
  dataLengthBytes: number,
  fdCount: number,
): boolean {
  const data = flags & IrqSetFlag.dataMask;
  const action = flags & IrqSetFlag.actionMask;
  if (flags !== (data | action) || !oneBit(data) || !oneBit(action)) return false;
  if (count === 0) return flags === (IrqSetFlag.dataNone | IrqSetFlag.trigger) && start === 0 && fdCount === 0;
  if (!(start >= 0 && start < available && count > 0 && count <= available - start)) return false;
  if (data === IrqSetFlag.dataBool && dataLengthBytes < count) return false;
  return fdCount === 0 || (data === IrqSetFlag.dataEventfd && fdCount === count);
}

function oneBit(value: number): boolean {
  return value !== 0 && (value & (value - 1)) === 0;
}
