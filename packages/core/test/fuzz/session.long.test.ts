import { FakeNative } from '@sidecard/native';
import { InProcessServer, qemuOffer, RecordedLog, VfioUserClient } from '@sidecard/testing';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Exerciser } from '../exerciser/exerciser.ts';
import { victim } from '../hostile/victim.ts';
import { arbitraryMessage } from './arbitrary-messages.ts';
import { FuzzFds, play } from './player.ts';

const session = (lies: number, length: number) =>
  fc.record({
    messages: fc.array(arbitraryMessage(lies), { minLength: 1, maxLength: 2 * length, size: 'max' }),
    negotiated: fc.constantFrom(true, true, true, true, true, true, true, false),
    capacityBytes: fc.constantFrom(4096, 65536, 1 << 22),
  });

/** Against a session in this process, where everything that is held is counted. */
function fuzzInProcess(lies: number, length: number, numRuns: number): number {
  let sent = 0;
  const property = fc.property(session(lies, length), ({ messages, negotiated, capacityBytes }) => {
    const native = new FakeNative();
    const log = new RecordedLog();
    const server = new InProcessServer({ native, log }, (host) => new Exerciser(host, native));
    const before = { fds: native.openFds, mappings: native.mappings };
    const fds = new FuzzFds(native);
    const client = new VfioUserClient(server.connect(capacityBytes)!);
    sent += play(client, fds, messages, negotiated).sent;
    client.close();
    fds.close();
    server.settle();
    expect(server.server.connected).toBe(false);
    expect(native.openFds).toBe(before.fds);
    // The staging memory for data on its way to unmapped guest memory is kept: one piece is enough here.
    expect(native.mappings - before.mappings).toBeLessThanOrEqual(1);
    const complaints = log.lines.filter(({ level, message }) => level === 'error' && !message.includes('cannot go on'));
    expect(complaints).toEqual([]);
    const next = new VfioUserClient(server.connect()!);
    next.version(qemuOffer);
    expect(next.deviceInfo().numRegions).toBe(9);
  });
  fc.assert(property, { numRuns, interruptAfterTimeLimit: 60_000, markInterruptAsFailure: true });
  return sent;
}

test('20,000 messages whose sizes are true: every command gets its one reply', () => {
  expect(fuzzInProcess(0, 100, 260)).toBeGreaterThanOrEqual(20_000);
}, 90_000);

test('5,000 more, with sizes that lie: an error or a clean end', () => {
  expect(fuzzInProcess(20, 50, 200)).toBeGreaterThan(5_000);
}, 60_000);

const scene = victim();

test('5,000 messages over a real socket, to a process whose descriptors and mappings are counted', () => {
  let sent = 0;
  const property = fc.property(session(2, 100), ({ messages, negotiated }) => {
    const fds = new FuzzFds(scene.native);
    const client = scene.stranger();
    try {
      sent += play(client, fds, messages, negotiated).sent;
    } finally {
      client.close();
      fds.close();
    }
    expect(scene.daemon.running, scene.daemon.log).toBe(true);
  });
  fc.assert(property, { numRuns: 60, interruptAfterTimeLimit: 30_000 });
  expect(sent).toBeGreaterThan(3_000);
}, 60_000);
