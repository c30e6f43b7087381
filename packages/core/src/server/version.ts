import { readVersion, type VersionFault, versionReply } from '../protocol/negotiation.ts';
import { DmaRequests } from './dma-requests.ts';
import { Errno } from './errno.ts';
import { Outcome } from './outcome.ts';
import type { Session } from './session.ts';

const faults: { readonly [fault in VersionFault]: { readonly errno: number; readonly reason: string } } = {
  short: { errno: Errno.EINVAL, reason: 'VERSION without a version' },
  major: { errno: Errno.ENOTSUP, reason: 'another major protocol version' },
  json: { errno: Errno.EINVAL, reason: 'VERSION with data that is not a JSON object' },
  capability: { errno: Errno.EINVAL, reason: 'VERSION with a capability that makes no sense' },
};

/** The first message of a connection. A version or capabilities that don't work end it, after an error reply that says why. */
export function version(session: Session): number {
  const { message, parts, outbox } = session;
  const client = readVersion(message.bytes.subarray(message.payload, message.payload + message.payloadBytes));
  if (typeof client === 'string') {
    session.endAfterReply(faults[client].reason);
    return faults[client].errno;
  }
  const twin = client.twinSocket && !message.noReply ? parts.makeTwin(session) : null;
  const payload = versionReply(client, twin === null ? -1 : 0);
  const at = session.reply(payload.length);
  outbox.buffer.bytes.set(payload, at);
  if (twin !== null) {
    outbox.attach(twin.clientFd, true);
    twin.clientFd = -1;
  }
  session.limits = client;
  session.twin = twin;
  session.dma = new DmaRequests(twin?.outbox ?? outbox, parts.memory, client.maxDataXferBytes);
  parts.memory.connect(session.dma);
  return Outcome.done;
}
