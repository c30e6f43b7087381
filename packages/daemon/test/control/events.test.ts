import { setTimeout } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { maxWaiting } from '../../src/control/event-stream.ts';
import { maxStreams } from '../../src/control/share.ts';
import { Rig } from './rig.ts';

let rig: Rig;
beforeEach(() => {
  rig = Rig.start();
});
afterEach(() => rig.close());

interface Event {
  readonly event: string;
  readonly data: unknown;
}

/** A reader of /changes. */
class Reader {
  readonly socket = rig.connect();
  #text = '';

  constructor() {
    this.socket.on('data', (data) => {
      this.#text += data;
    });
    this.socket.write('GET /changes HTTP/1.1\r\n\r\n');
  }

  get header(): string {
    return this.#text.split('\r\n\r\n')[0]!;
  }

  get events(): Event[] {
    // Chunk sizes are on lines of their own.
    const lines = this.#text.slice(this.header.length).split(/\r?\n/);
    const events: Event[] = [];
    let event = '';
    for (const line of lines) {
      if (line.startsWith('event: ')) event = line.slice(7);
      if (line.startsWith('data: ')) events.push({ event, data: JSON.parse(line.slice(6)) });
    }
    return events;
  }

  async has(count: number): Promise<Event[]> {
    await vi.waitFor(() => expect(this.events.length).toBeGreaterThanOrEqual(count), 5000);
    return this.events;
  }
}

test('a stream begins with how things are, and then has each change in its order', async () => {
  const reader = new Reader();
  await reader.has(1);
  for (let n = 1; n <= 3; n++) rig.change({ n });
  expect(await reader.has(4)).toEqual([
    { event: 'state', data: { red: 0, green: 0 } },
    { event: 'change', data: { n: 1 } },
    { event: 'change', data: { n: 2 } },
    { event: 'change', data: { n: 3 } },
  ]);
  expect(reader.header).toMatch(/200 OK.*text\/event-stream/s);
});

test('several readers have it all, also when one goes; the last who goes ends the subscription', async () => {
  const readers = [new Reader(), new Reader(), new Reader()];
  for (const reader of readers) await reader.has(1);
  readers[0]!.socket.destroy();
  rig.change({ n: 1 });
  for (const reader of readers.slice(1)) expect((await reader.has(2)).at(-1)!.data).toEqual({ n: 1 });
  expect(rig.senders.size).toBe(1);
  for (const reader of readers) reader.socket.destroy();
  await vi.waitFor(() => expect(rig.senders.size).toBe(0));
});

test('a reader that does not read holds up nobody, and what is kept for it has an end; reading again, it is told', async () => {
  const slow = new Reader();
  const quick = new Reader();
  await Promise.all([slow.has(1), quick.has(1)]);
  slow.socket.pause();
  const padding = 'x'.repeat(1000);
  const changes = 5000;
  for (let n = 0; n < changes; n++) {
    rig.change({ n, padding });
    if (n % 100 === 0) await setTimeout(5);
  }
  expect((await quick.has(changes + 1)).at(-1)!.data).toMatchObject({ n: changes - 1 });
  slow.socket.resume();
  await vi.waitFor(() => expect(slow.events.at(-2)?.event).toBe('missed'), 5000);
  const seen = slow.events.filter(({ event }) => event === 'change').length;
  const missed = slow.events.filter(({ event }) => event === 'missed');
  expect(missed).toHaveLength(1);
  // The kernel's buffers, Node's, and ours.
  expect(seen).toBeLessThan(3000);
  expect(seen + (missed[0]!.data as { changes: number }).changes).toBe(changes);
  rig.change({ n: 'last' });
  await vi.waitFor(() => expect(slow.events.at(-1)).toEqual({ event: 'change', data: { n: 'last' } }));
});

test('more changes at once than are kept: the rest is missed, not waited for', async () => {
  const reader = new Reader();
  await reader.has(1);
  for (let n = 0; n < maxWaiting + 5; n++) rig.change({ n });
  const events = await reader.has(maxWaiting + 3);
  expect(events.slice(-2)).toEqual([
    { event: 'missed', data: { changes: 5 } },
    { event: 'state', data: { red: 0, green: 0 } },
  ]);
});

test('readers have a limit', async () => {
  const readers = Array.from({ length: maxStreams }, () => new Reader());
  for (const reader of readers) await reader.has(1);
  expect(await rig.ask('GET', '/changes')).toMatchObject({
    status: 503,
    json: { error: expect.stringContaining('16') },
  });
  readers[0]!.socket.destroy();
  await setTimeout(50);
  await new Reader().has(1);
});

test('a reader that goes before its turn has come takes no place for ever', async () => {
  for (let round = 0; round < 4; round++) {
    const hasty = Array.from({ length: maxStreams }, () => new Reader());
    // Their requests arrive in one turn of the event loop, their ends in the next; turns are given out one by one.
    await setTimeout(1);
    for (const { socket } of hasty) socket.destroy();
    await setTimeout(30);
  }
  await vi.waitFor(() => expect(rig.senders.size).toBe(0));
  for (const reader of Array.from({ length: maxStreams }, () => new Reader())) await reader.has(1);
});
