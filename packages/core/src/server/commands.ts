import { Command } from '../protocol/messages.ts';
import { dmaMap, dmaUnmap } from './dma-maps.ts';
import { Errno } from './errno.ts';
import { deviceInfo, irqInfo, regionInfo, regionIoFds } from './information.ts';
import { deviceReset, setIrqs } from './interrupts-and-reset.ts';
import { regionRead, regionWrite, regionWriteMulti } from './region-access.ts';
import type { Session } from './session.ts';
import { version } from './version.ts';

/** Handles the message in hand. Answers 0, an errno, or an Outcome. */
export function dispatch(session: Session): number {
  const { message } = session;
  if (!message.isCommand) return Errno.EINVAL;
  if (session.limits === null) return message.command === Command.version ? version(session) : Errno.EINVAL;
  switch (message.command) {
    case Command.regionRead:
      return regionRead(session);
    case Command.regionWrite:
      return regionWrite(session);
    case Command.regionWriteMulti:
      return regionWriteMulti(session);
    case Command.dmaMap:
      return dmaMap(session);
    case Command.dmaUnmap:
      return dmaUnmap(session);
    case Command.deviceGetInfo:
      return deviceInfo(session);
    case Command.deviceGetRegionInfo:
      return regionInfo(session);
    case Command.deviceGetRegionIoFds:
      return regionIoFds(session);
    case Command.deviceGetIrqInfo:
      return irqInfo(session);
    case Command.deviceSetIrqs:
      return setIrqs(session);
    case Command.deviceReset:
      return deviceReset(session);
    // Agreed on once; and these two are the server's to send.
    case Command.version:
    case Command.dmaRead:
    case Command.dmaWrite:
      return Errno.EINVAL;
    // Migration isn't offered: neither its features nor its data. Everything unknown is the same to a client.
    default:
      return Errno.ENOTSUP;
  }
}
