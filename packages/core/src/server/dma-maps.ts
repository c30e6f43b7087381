import { getUint64 } from '../protocol/encoding.ts';
import { DMA_MAP_BYTES, DMA_UNMAP_BYTES, DmaMap, DmaMapFlag, DmaUnmap, DmaUnmapFlag } from '../protocol/messages.ts';
import { Errno } from './errno.ts';
import { Outcome } from './outcome.ts';
import type { Session } from './session.ts';

export function dmaMap(session: Session): number {
  const { view, payload, payloadBytes, fds } = session.message;
  if (payloadBytes < DMA_MAP_BYTES || view.getUint32(payload + DmaMap.argsz, true) < DMA_MAP_BYTES) return Errno.EINVAL;
  const flags = view.getUint32(payload + DmaMap.flags, true);
  const offset = getUint64(view, payload + DmaMap.offset);
  const iova = getUint64(view, payload + DmaMap.iova);
  const sizeBytes = getUint64(view, payload + DmaMap.sizeBytes);
  if ((flags & ~(DmaMapFlag.readable | DmaMapFlag.writable)) !== 0 || fds.count > 1) return Errno.EINVAL;
  const errno = session.parts.memory.map({
    iova,
    sizeBytes,
    fd: fds.take(0),
    offset,
    readable: (flags & DmaMapFlag.readable) !== 0,
    writable: (flags & DmaMapFlag.writable) !== 0,
  });
  if (errno === 0) session.parts.function.device.memoryChanged?.();
  return errno;
}

/** Exactly one map, or all. "The server responds with the original DMA entry in the request", once nothing uses it any more. */
export function dmaUnmap(session: Session): number {
  const { view, bytes, payload, payloadBytes } = session.message;
  if (payloadBytes < DMA_UNMAP_BYTES) return Errno.EINVAL;
  if (view.getUint32(payload + DmaUnmap.argsz, true) < DMA_UNMAP_BYTES) return Errno.EINVAL;
  const flags = view.getUint32(payload + DmaUnmap.flags, true);
  const iova = getUint64(view, payload + DmaUnmap.iova);
  const sizeBytes = getUint64(view, payload + DmaUnmap.sizeBytes);
  const all = (flags & DmaUnmapFlag.all) !== 0;
  if (all && (iova !== 0 || sizeBytes !== 0 || flags !== DmaUnmapFlag.all)) return Errno.EINVAL;
  if (!all && flags !== 0) return Errno.ENOTSUP;
  const at = session.reply(DMA_UNMAP_BYTES);
  if (at < 0) return Outcome.stalled;
  const { memory } = session.parts;
  const result = all ? memory.unmapAll() : memory.unmap(iova, sizeBytes);
  if (typeof result === 'number') return result;
  session.parts.function.device.memoryChanged?.();
  const entry = bytes.slice(payload, payload + DMA_UNMAP_BYTES);
  if (result === 'draining') return session.defer(all ? 'unmapAll' : 'unmap', entry, iova, sizeBytes);
  session.outbox.buffer.bytes.set(entry, at);
  return Outcome.done;
}
