import { existsSync, mkdtempSync, readdirSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as after, setImmediate as soon } from 'node:timers/promises';
import { loadNative } from '@sidecard/native';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { encodeFields, encodeMessage } from '../../../testing/src/message.ts';
import { RecordedLog } from '../../../testing/src/recorded-log.ts';
import { FdList } from '../../src/protocol/fd-list.ts';
import { Command, DMA_MAP_BYTES, DmaMap, RegionAccess } from '../../src/protocol/messages.ts';
import { ListenError, type ServeOptions, type Server, serve, serveBus } from '../../src/rim/index.ts';
import { SocketChannel } from '../../src/server/socket-channel.ts';
import { Edu } from '../server/edu.ts';

const native = loadNative();
let folder: string;
let servers: Server[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sidecard-serve-'));
  servers = [];
});
afterEach(async () => {
  for (const server of servers) await server.close();
  rmSync(folder, { recursive: true });
});

async function started(at: ServeOptions['at'], options: Partial<ServeOptions> = {}): Promise<Server> {
  const server = await serve(
    { at, log: new RecordedLog(), arenaBytes: 1024 * 1024, ...options },
    (host) => new Edu(host),
  );
  servers.push(server);
  return server;
}

/** A client on this event loop. */
class Client {
  readonly channel: SocketChannel;
  readonly #fds = new FdList();
  readonly #bytes = new Uint8Array(65536);

  constructor(path: string) {
    this.channel = new SocketChannel(native, native.connect(path));
  }

  send(command: number, payload: Uint8Array = new Uint8Array(0), fd = -1): void {
    const bytes = encodeMessage(command, payload, { id: 1 });
    this.#fds.count = fd < 0 ? 0 : 1;
    this.#fds.fds[0] = fd;
    this.channel.send(bytes, 0, bytes.length, this.#fds);
  }

  /** The reply's bytes; empty when the server has hung up. */
  async receive(): Promise<Uint8Array> {
    for (let i = 0; i < 100_000; i++) {
      const count = this.channel.receive(this.#bytes, 0, this.#bytes.length, this.#fds);
      if (count !== 0) return this.#bytes.slice(0, Math.max(0, count));
      await soon();
    }
    throw new Error('no reply');
  }

  /** How the stream ends: 0, or a negative errno. What comes before that is thrown away. */
  async ending(): Promise<number> {
    for (let i = 0; i < 100_000; i++) {
      const count = native.receive(this.channel.wakeFd, this.#bytes, 0, this.#bytes.length, this.#fds.raw);
      if (count <= 0 && count !== -constants.errno.EAGAIN) return count;
      await soon();
    }
    throw new Error('the stream does not end');
  }

  request(command: number, payload?: Uint8Array, fd?: number): Promise<Uint8Array> {
    this.send(command, payload, fd);
    return this.receive();
  }

  version(): Promise<Uint8Array> {
    return this.request(Command.version, new Uint8Array(4));
  }

  /** One byte of the id register. */
  async readByte(): Promise<number> {
    const reply = await this.request(
      Command.regionRead,
      encodeFields(RegionAccess, 16, { offset: 0, region: 0, count: 1 }),
    );
    return reply[16 + 16]!;
  }
}

function openFds(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)];
    } catch {
      return [];
    }
  });
}

test('a client over a real socket, which only its owner may connect to', async () => {
  const socketPath = join(folder, 'edu.sock');
  const server = await started({ socketPath });
  expect(statSync(socketPath).mode & 0o777).toBe(0o600);
  const client = new Client(socketPath);
  expect((await client.version()).length).toBeGreaterThan(20);
  expect(await client.readByte()).toBe(0xed);
  client.channel.close();
  await server.close();
  expect(existsSync(socketPath)).toBe(false);
});

test('a socket file that is left over is replaced, one that is in use is not', async () => {
  const socketPath = join(folder, 'edu.sock');
  native.close(native.listen(socketPath, 0o600, 1));
  expect(existsSync(socketPath)).toBe(true);
  await started({ socketPath });
  await expect(started({ socketPath })).rejects.toThrow(/in use by a running daemon/);
  const client = new Client(socketPath);
  await client.version();
  expect(await client.readByte()).toBe(0xed);
  client.channel.close();
});

test('who is refused, and who is left when the daemon ends, reads the end of the stream: a reset would end QEMU', async () => {
  const socketPath = join(folder, 'edu.sock');
  const server = await started({ socketPath });
  const first = new Client(socketPath);
  await first.version();
  // What they send is there when the server closes their connections, and unread.
  const second = new Client(socketPath);
  second.send(Command.version, new Uint8Array(4));
  expect(await second.ending()).toBe(0);
  const waiting = new Client(socketPath);
  waiting.send(Command.version, new Uint8Array(4));
  const closed = server.close();
  first.send(Command.version, new Uint8Array(4));
  await closed;
  expect([await first.ending(), await waiting.ending()]).toEqual([0, 0]);
  for (const { channel } of [first, second, waiting]) channel.close();
});

test.each([
  ['/there/is/no/such/folder/x.sock', /does not exist/],
  [`/tmp/${'x'.repeat(120)}`, /too long/],
])('a socket that cannot be made is one clear line: %s', async (socketPath, line) => {
  const failure = started({ socketPath });
  await expect(failure).rejects.toThrow(ListenError);
  await expect(failure).rejects.toThrow(line);
});

test('a file that is no socket stays', async () => {
  const socketPath = join(folder, 'precious');
  writeFileSync(socketPath, 'data');
  await expect(started({ socketPath })).rejects.toThrow(/is not a socket/);
  expect(existsSync(socketPath)).toBe(true);
});

test('a listening socket may be inherited, and its file is not ours to remove', async () => {
  const socketPath = join(folder, 'inherited.sock');
  const listenFd = native.listen(socketPath, 0o600, 4);
  const server = await started({ listenFd });
  const client = new Client(socketPath);
  await client.version();
  expect(await client.readByte()).toBe(0xed);
  client.channel.close();
  await server.close();
  expect(existsSync(socketPath)).toBe(true);
  await expect(started({ listenFd: 0 })).rejects.toThrow(/not a listening socket/);
});

test('clients in turn, one at a time, and nothing of them stays', async () => {
  const socketPath = join(folder, 'edu.sock');
  await started({ socketPath });
  await (async () => {
    const warm = new Client(socketPath);
    await warm.version();
    warm.channel.close();
    await after(20);
  })();
  const before = openFds().length;
  for (let i = 0; i < 20; i++) {
    const client = new Client(socketPath);
    await client.version();
    const memfd = native.memfd('ram', 1 << 20);
    const map = encodeFields(DmaMap, DMA_MAP_BYTES, { argsz: 32, flags: 3, iova: 0x10000, sizeBytes: 1 << 20 });
    expect((await client.request(Command.dmaMap, map, memfd)).length).toBe(16);
    native.close(memfd);
    const second = new Client(socketPath);
    expect(await second.receive()).toHaveLength(0);
    second.channel.close();
    // Re-plugged quickly: the next connects before this one's end has been seen.
    client.channel.close();
  }
  const last = new Client(socketPath);
  await last.version();
  last.channel.close();
  await after(20);
  expect(openFds()).toHaveLength(before);
});

test('idle, it takes no processor time', async () => {
  const socketPath = join(folder, 'edu.sock');
  await started({ socketPath });
  const client = new Client(socketPath);
  await client.version();
  for (let i = 0; i < 100; i++) await client.readByte();
  await after(50);
  const before = process.cpuUsage();
  await after(500);
  const used = process.cpuUsage(before);
  expect(used.user + used.system).toBeLessThan(25_000);
  client.channel.close();
});

test('an access allocates nothing', async () => {
  const socketPath = join(folder, 'edu.sock');
  const server = await started({ socketPath });
  const client = new Client(socketPath);
  await client.version();
  const message = encodeMessage(Command.regionRead, encodeFields(RegionAccess, 16, { region: 0, count: 1 }));
  const reply = new Uint8Array(64);
  const none = new FdList();
  const accesses = (count: number) => {
    for (let i = 0; i < count; i++) {
      client.channel.send(message, 0, message.length, none);
      server.core.turn();
      if (client.channel.receive(reply, 0, 64, none) !== 33) throw new Error('no reply');
    }
  };
  accesses(20_000);
  const before = process.memoryUsage().heapUsed;
  accesses(50_000);
  // A garbage collection would make this negative: 16 bytes per access would be 800 KB.
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(400_000);
  client.channel.close();
});

test('a bus of functions, each on a socket of its own', async () => {
  const create = (host: ConstructorParameters<typeof Edu>[0]) => new Edu(host);
  const functions = [0, 1].map((number) => ({
    device: 4,
    number,
    at: { socketPath: join(folder, `${number}.sock`) },
    create,
  }));
  const options = { log: new RecordedLog(), arenaBytes: 1024 * 1024 };
  const { bus, close } = await serveBus(options, functions);
  const clients = functions.map(({ at }) => new Client(at.socketPath));
  for (const client of clients) {
    await client.version();
    expect(await client.readByte()).toBe(0xed);
  }
  const headerType = new Uint8Array(1);
  bus.readConfig(4, 1, 0x0e, headerType, 0, 1);
  expect(headerType[0]).toBe(0x80);
  for (const client of clients) client.channel.close();

  const taken = { ...functions[1]!, device: 5, at: { socketPath: join(folder, 'new.sock') } };
  await expect(serveBus(options, [taken, functions[0]!])).rejects.toThrow(/in use by a running daemon/);
  expect(existsSync(taken.at.socketPath)).toBe(false);
  await close();
  expect(functions.some(({ at }) => existsSync(at.socketPath))).toBe(false);
});
