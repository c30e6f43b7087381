import type { Region } from '../pci/function.ts';
import { setUint64 } from '../protocol/encoding.ts';
import {
  DEVICE_INFO_BYTES,
  DeviceInfo,
  DeviceInfoFlag,
  IRQ_COUNT,
  IRQ_INFO_BYTES,
  IrqInfo,
  REGION_CAP_SPARSE_MMAP,
  REGION_COUNT,
  REGION_INFO_BYTES,
  REGION_IO_FDS_BYTES,
  RegionCap,
  RegionFlag,
  RegionInfo,
  RegionIoFds,
  SPARSE_AREA_BYTES,
  SPARSE_MMAP_BYTES,
  SparseArea,
  SparseMmap,
} from '../protocol/messages.ts';
import { Errno } from './errno.ts';
import { Outcome } from './outcome.ts';
import type { Session } from './session.ts';

/** `argsz`, the first field of all of these: the largest reply payload that the client takes, at least the fixed part. */
function tooShort(session: Session, fixedBytes: number): boolean {
  const { view, payload, payloadBytes } = session.message;
  return payloadBytes < fixedBytes || view.getUint32(payload, true) < fixedBytes;
}

export function deviceInfo(session: Session): number {
  if (tooShort(session, DEVICE_INFO_BYTES)) return Errno.EINVAL;
  const at = session.reply(DEVICE_INFO_BYTES);
  const { view } = session.outbox.buffer;
  view.setUint32(at + DeviceInfo.argsz, DEVICE_INFO_BYTES, true);
  view.setUint32(at + DeviceInfo.flags, DeviceInfoFlag.reset | DeviceInfoFlag.pci, true);
  view.setUint32(at + DeviceInfo.numRegions, REGION_COUNT, true);
  view.setUint32(at + DeviceInfo.numIrqs, IRQ_COUNT, true);
  return Outcome.done;
}

/** Without room for the capabilities (argsz) the fixed part alone says how much is needed, and the client asks again. */
export function regionInfo(session: Session): number {
  if (tooShort(session, REGION_INFO_BYTES)) return Errno.EINVAL;
  const { message } = session;
  const index = message.view.getUint32(message.payload + RegionInfo.index, true);
  const region = session.parts.function.regions[index];
  if (index >= REGION_COUNT || region === undefined) return Errno.EINVAL;
  const sparse = isSparse(region);
  const needed = REGION_INFO_BYTES + (sparse ? SPARSE_MMAP_BYTES + region.areas.length * SPARSE_AREA_BYTES : 0);
  const whole = message.view.getUint32(message.payload + RegionInfo.argsz, true) >= needed;
  const at = session.reply(whole ? needed : REGION_INFO_BYTES);
  if (at < 0) return Outcome.stalled;
  const { view } = session.outbox.buffer;
  const first = region.areas[0];
  const hasCaps = sparse && whole;
  view.setUint32(at + RegionInfo.argsz, needed, true);
  view.setUint32(at + RegionInfo.flags, region.flags | (hasCaps ? RegionFlag.caps : 0), true);
  view.setUint32(at + RegionInfo.index, index, true);
  view.setUint32(at + RegionInfo.capOffset, hasCaps ? REGION_INFO_BYTES : 0, true);
  setUint64(view, at + RegionInfo.sizeBytes, region.sizeBytes);
  setUint64(view, at + RegionInfo.offset, first === undefined ? 0 : first.fdOffset - first.offset);
  if (hasCaps) writeSparseAreas(view, at + REGION_INFO_BYTES, region);
  // One descriptor serves all areas: QEMU takes one.
  if (first !== undefined && !message.noReply && session.limits!.maxMessageFds > 0)
    session.outbox.attach(first.fd, false);
  return Outcome.done;
}

/** An area that is the whole region needs no capability. */
function isSparse(region: Region): boolean {
  const [first, second] = region.areas;
  return first !== undefined && (second !== undefined || first.offset !== 0 || first.sizeBytes !== region.sizeBytes);
}

function writeSparseAreas(view: DataView, at: number, region: Region): void {
  view.setUint16(at + RegionCap.id, REGION_CAP_SPARSE_MMAP, true);
  view.setUint16(at + RegionCap.version, 1, true);
  view.setUint32(at + RegionCap.next, 0, true);
  view.setUint32(at + SparseMmap.count, region.areas.length, true);
  view.setUint32(at + SparseMmap.reserved, 0, true);
  region.areas.forEach((area, i) => {
    const entry = at + SparseMmap.areas + i * SPARSE_AREA_BYTES;
    setUint64(view, entry + SparseArea.offset, area.offset);
    setUint64(view, entry + SparseArea.sizeBytes, area.sizeBytes);
  });
}

/** No client of today uses ioeventfds or ioregionfds: there are no sub-regions. */
export function regionIoFds(session: Session): number {
  if (tooShort(session, REGION_IO_FDS_BYTES)) return Errno.EINVAL;
  const { message } = session;
  const index = message.view.getUint32(message.payload + RegionIoFds.index, true);
  const flags = message.view.getUint32(message.payload + RegionIoFds.flags, true);
  const count = message.view.getUint32(message.payload + RegionIoFds.count, true);
  if (index >= REGION_COUNT || flags !== 0 || count !== 0) return Errno.EINVAL;
  const at = session.reply(REGION_IO_FDS_BYTES);
  const { view } = session.outbox.buffer;
  view.setUint32(at + RegionIoFds.argsz, REGION_IO_FDS_BYTES, true);
  view.setUint32(at + RegionIoFds.flags, 0, true);
  view.setUint32(at + RegionIoFds.index, index, true);
  view.setUint32(at + RegionIoFds.count, 0, true);
  return Outcome.done;
}

export function irqInfo(session: Session): number {
  if (tooShort(session, IRQ_INFO_BYTES)) return Errno.EINVAL;
  const { message } = session;
  const index = message.view.getUint32(message.payload + IrqInfo.index, true);
  if (index >= IRQ_COUNT) return Errno.EINVAL;
  const { interrupts } = session.parts.function;
  const at = session.reply(IRQ_INFO_BYTES);
  const { view } = session.outbox.buffer;
  view.setUint32(at + IrqInfo.argsz, IRQ_INFO_BYTES, true);
  view.setUint32(at + IrqInfo.flags, interrupts.flags(index), true);
  view.setUint32(at + IrqInfo.index, index, true);
  view.setUint32(at + IrqInfo.count, interrupts.count(index), true);
  return Outcome.done;
}
