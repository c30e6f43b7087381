import { getUint64, setUint64 } from '../protocol/encoding.ts';
import {
  DEFAULT_MAX_DATA_XFER_BYTES,
  REGION_ACCESS_BYTES,
  REGION_WRITE_ENTRY_BYTES,
  REGION_WRITE_ENTRY_DATA_BYTES,
  REGION_WRITE_MULTI_BYTES,
  RegionAccess,
  RegionWriteMulti,
} from '../protocol/messages.ts';
import { Errno } from './errno.ts';
import { Outcome } from './outcome.ts';
import type { Session } from './session.ts';

export function regionRead(session: Session): number {
  const { view, payload, payloadBytes } = session.message;
  if (payloadBytes < REGION_ACCESS_BYTES) return Errno.EINVAL;
  const count = view.getUint32(payload + RegionAccess.count, true);
  if (count > DEFAULT_MAX_DATA_XFER_BYTES) return Errno.EINVAL;
  const region = view.getUint32(payload + RegionAccess.region, true);
  const offset = getUint64(view, payload + RegionAccess.offset);
  const at = session.reply(REGION_ACCESS_BYTES + count);
  if (at < 0) return Outcome.stalled;
  echoAccess(session, at);
  return session.parts.function.readRegion(region, offset, session.outbox.buffer.bytes, at + RegionAccess.data, count);
}

export function regionWrite(session: Session): number {
  const { message } = session;
  const { view, payload, payloadBytes } = message;
  if (payloadBytes < REGION_ACCESS_BYTES) return Errno.EINVAL;
  const count = view.getUint32(payload + RegionAccess.count, true);
  if (count > DEFAULT_MAX_DATA_XFER_BYTES || payloadBytes < REGION_ACCESS_BYTES + count) return Errno.EINVAL;
  const region = view.getUint32(payload + RegionAccess.region, true);
  const offset = getUint64(view, payload + RegionAccess.offset);
  const at = session.reply(REGION_ACCESS_BYTES);
  if (at < 0) return Outcome.stalled;
  echoAccess(session, at);
  const errno = session.parts.function.writeRegion(region, offset, message.bytes, payload + RegionAccess.data, count);
  return errno === 0 ? afterWrite(session, REGION_ACCESS_BYTES) : errno;
}

/**
 * A loop over writes of at most 8 bytes each. The first that fails ends it; the reply counts those that were done, and
 * is an error only when none was.
 */
export function regionWriteMulti(session: Session): number {
  const { message } = session;
  const { view, payload, payloadBytes } = message;
  if (payloadBytes < REGION_WRITE_MULTI_BYTES) return Errno.EINVAL;
  const writeCount = getUint64(view, payload + RegionWriteMulti.writeCount);
  if (writeCount * REGION_WRITE_ENTRY_BYTES > payloadBytes - REGION_WRITE_MULTI_BYTES) return Errno.EINVAL;
  const at = session.reply(REGION_WRITE_MULTI_BYTES);
  if (at < 0) return Outcome.stalled;
  let done = 0;
  for (; done < writeCount; done++) {
    const entry = payload + RegionWriteMulti.writes + done * REGION_WRITE_ENTRY_BYTES;
    const errno = writeEntry(session, entry);
    if (errno === 0) continue;
    if (done === 0) return errno;
    break;
  }
  setUint64(session.outbox.buffer.view, at + RegionWriteMulti.writeCount, done);
  return afterWrite(session, REGION_WRITE_MULTI_BYTES);
}

function writeEntry(session: Session, entry: number): number {
  const { bytes, view } = session.message;
  const count = view.getUint32(entry + RegionAccess.count, true);
  if (count > REGION_WRITE_ENTRY_DATA_BYTES) return Errno.EINVAL;
  const region = view.getUint32(entry + RegionAccess.region, true);
  const offset = getUint64(view, entry + RegionAccess.offset);
  return session.parts.function.writeRegion(region, offset, bytes, entry + RegionAccess.data, count);
}

/** A write that asked for a Function Level Reset is answered when the I/O in flight has ended. */
function afterWrite(session: Session, replyBytes: number): number {
  return session.functionReset ? session.deferReset(replyBytes) : Outcome.done;
}

function echoAccess(session: Session, at: number): void {
  const from = session.message.view;
  const { payload } = session.message;
  const to = session.outbox.buffer.view;
  for (let i = 0; i < REGION_ACCESS_BYTES; i += 4) to.setUint32(at + i, from.getUint32(payload + i, true), true);
}
