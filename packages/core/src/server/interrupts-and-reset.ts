import { IRQ_COUNT, IRQ_SET_BYTES, IrqSet } from '../protocol/messages.ts';
import { Errno } from './errno.ts';
import type { Session } from './session.ts';

/** `argsz` is the size of the request, data included; clients that append more than they say are tolerated. */
export function setIrqs(session: Session): number {
  const { message } = session;
  const { view, payload, payloadBytes } = message;
  if (payloadBytes < IRQ_SET_BYTES) return Errno.EINVAL;
  const argsz = view.getUint32(payload + IrqSet.argsz, true);
  const index = view.getUint32(payload + IrqSet.index, true);
  if (argsz < IRQ_SET_BYTES || index >= IRQ_COUNT) return Errno.EINVAL;
  const fds: number[] = [];
  for (let i = 0; i < message.fds.count; i++) {
    const fd = message.fds.take(i);
    if (fd >= 0) fds.push(fd);
  }
  return session.parts.function.interrupts.set(
    index,
    view.getUint32(payload + IrqSet.flags, true),
    view.getUint32(payload + IrqSet.start, true),
    view.getUint32(payload + IrqSet.count, true),
    message.bytes,
    payload + IrqSet.data,
    payloadBytes - IRQ_SET_BYTES,
    fds,
  );
}

/** The registers are reset at once; the answer comes when no request of before can touch the guest any more. */
export function deviceReset(session: Session): number {
  session.parts.function.reset('conventional');
  return session.deferReset(0);
}
