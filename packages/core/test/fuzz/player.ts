import { Command, HEADER_BYTES, HeaderFlag } from '@sidecard/core';
import type { Native } from '@sidecard/native';
import { Disconnected, encodeMessage, GuestRam, type Message, qemuOffer, type VfioUserClient } from '@sidecard/testing';
import { expect } from 'vitest';
import { ExerciserGuest } from '../exerciser/guest.ts';
import type { FuzzMessage } from './arbitrary-messages.ts';

/** Descriptors of a client that sends nonsense: memory files, eventfds, a socket. */
export class FuzzFds {
  readonly fds: readonly number[];
  readonly native: Native;

  constructor(native: Native) {
    this.native = native;
    const [one, two] = native.socketPair();
    native.close(two);
    const memory = [0, 1].map(() => native.memfd('fuzz', 4 * 4096));
    this.fds = [...memory, native.eventfd(), native.eventfd(), native.eventfd(), one];
  }

  close(): void {
    for (const fd of this.fds) this.native.close(fd);
  }
}

/** What became of a session. */
export interface Outcome {
  readonly sent: number;
  readonly ended: boolean;
}

/**
 * Plays a session. As long as every size was true, each command without No_reply gets exactly one reply, an error reply is a
 * header alone, and what was held back by I/O in flight comes once that has ended.
 */
export function play(
  client: VfioUserClient,
  fds: FuzzFds,
  messages: readonly FuzzMessage[],
  negotiated: boolean,
): Outcome {
  const { wire } = client;
  const ram = GuestRam.private({ iova: 0, sizeBytes: 20 * 4096 });
  wire.dma.rams.push(ram);
  const decide: typeof wire.dma.decide = ({ iova }) =>
    iova % 3 === 0 ? 'answer' : iova % 3 === 1 ? 'hold' : { errno: 14 };
  wire.dma.decide = decide;
  const owed = new Map<string, number>();
  let sent = 0;
  let inStep = negotiated;
  try {
    if (negotiated) {
      client.version(qemuOffer);
      new ExerciserGuest(client).setBusMaster(true);
    }
    for (const message of messages) {
      const id = FIRST_ID + sent;
      inStep &&= message.lie === 0;
      if (wantsReply(message)) owed.set(key(id, message.command), 1);
      send(client, fds, message, id);
      if (++sent % 8 === 0) {
        wire.dma.release((held) => held.reverse());
        wire.dma.decide = decide;
      }
    }
    if (inStep) settle(client, owed);
  } catch (error) {
    if (!(error instanceof Disconnected)) throw error;
    expect(inStep, 'a client whose sizes are true is not thrown out').toBe(false);
  }
  for (const reply of wire.replies) {
    expectWellFormed(reply);
    for (const fd of reply.fds) fds.native.close(fd);
  }
  return { sent, ended: wire.ended };
}

function wantsReply({ flags }: FuzzMessage): boolean {
  return (flags & HeaderFlag.typeMask) !== HeaderFlag.reply && (flags & HeaderFlag.noReply) === 0;
}

/** The client's own messages have the ids below. */
const FIRST_ID = 0x4000;

const key = (id: number, command: number) => `${id}/${command}`;

function send(client: VfioUserClient, fds: FuzzFds, message: FuzzMessage, id: number): void {
  const { command, payload, flags, lie } = message;
  const sizeBytes = HEADER_BYTES + payload.length + lie;
  const bytes = encodeMessage(command, payload, { id, flags, sizeBytes: sizeBytes >>> 0 });
  const places = message.fds.map(({ at }) => at % bytes.length);
  const cuts = [...message.cuts.map((at) => at % bytes.length), ...places, bytes.length];
  let from = 0;
  for (const to of [...new Set(cuts)].sort((a, b) => a - b)) {
    if (to === from) continue;
    const here = message.fds.filter((_, i) => places[i] === from).map(({ which }) => fds.fds[which]!);
    client.wire.sendBytes(bytes.subarray(from, to), here);
    // The server alone: an answer of ours must not get into the middle of this message.
    if (message.cuts.length > 0) client.wire.transport.turn();
    from = to;
  }
  client.wire.turn();
}

/** Ends what is in flight, and sees that every reply has come. */
function settle(client: VfioUserClient, owed: Map<string, number>): void {
  const guest = new ExerciserGuest(client);
  const { wire } = client;
  wire.dma.release();
  guest.registers.inFlight = 0;
  guest.registers.pin = 0;
  const missing = () => {
    const left = new Map(owed);
    for (const { id, command } of wire.replies) left.delete(key(id, command));
    return [...left.keys()];
  };
  const deadline = Date.now() + 3000;
  while (missing().length > 0 && Date.now() < deadline) client.deviceInfo();
  expect(missing(), 'commands without a reply').toEqual([]);
  expect(wire.replies.length, 'one reply each').toBe(owed.size);
}

function expectWellFormed(reply: Message): void {
  if ((reply.flags & HeaderFlag.error) !== 0) {
    expect(reply.flags).toBe(HeaderFlag.reply | HeaderFlag.error);
    expect(reply.payload).toHaveLength(0);
    expect(reply.error).toBeGreaterThan(0);
  } else {
    expect(reply.flags).toBe(HeaderFlag.reply);
    expect(reply.error).toBe(0);
    expect(reply.command).not.toBe(Command.deviceFeature);
  }
}
