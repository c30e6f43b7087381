import { writeErrorReply, writeHeader } from '../protocol/encoding.ts';
import { Command, HEADER_BYTES, HeaderFlag } from '../protocol/messages.ts';
import type { Deferral } from './deferrals.ts';
import { Errno } from './errno.ts';
import type { Outbox } from './outbox.ts';
import type { Session } from './session.ts';

/** The reply to a message whose I/O has ended. False when there is no room for it now. */
export function answerDeferred(outbox: Outbox, deferral: Deferral): boolean {
  const sizeBytes = HEADER_BYTES + deferral.payload.length;
  const at = outbox.reserve(sizeBytes);
  if (at < 0) return false;
  writeHeader(outbox.buffer.view, at, deferral.id, deferral.command, sizeBytes, HeaderFlag.reply, 0);
  outbox.buffer.bytes.set(deferral.payload, at + HEADER_BYTES);
  outbox.commit(sizeBytes);
  return true;
}

/** I/O did not end in time: everything that waits gets an error, and the device is one that has failed. */
export function failLate(session: Session, late: readonly Deferral[]): void {
  const { outbox } = session;
  const { device } = session.parts.function;
  for (const deferral of late) {
    const at = outbox.reserve(HEADER_BYTES);
    if (at < 0) break;
    writeErrorReply(outbox.buffer.view, at, deferral.id, deferral.command, Errno.ETIMEDOUT);
    outbox.commit(HEADER_BYTES);
  }
  const commands = new Set(late.map((one) => nameOf(one.command)));
  const reason = `I/O in flight did not end in time (${[...commands].join(', ')})`;
  session.parts.log.warn({ inFlight: device.inFlight ?? 0 }, reason);
  device.failed?.(reason);
}

function nameOf(command: number): string {
  const entry = Object.entries(Command).find(([, number]) => number === command);
  return entry?.[0] ?? String(command);
}
