import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { Native } from '../src/index.ts';
import { bytes, moduleText, natives } from './natives.ts';

const { EAGAIN, EBADF, ECONNRESET, EINVAL, EMSGSIZE, EPIPE } = constants.errno;
const folder = mkdtempSync(join(tmpdir(), 'sidecard-sockets-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe.each(natives)('sockets: $name', ({ create, openFds }) => {
  const native = create();
  const buffer = new Uint8Array(256);
  const fds = new Int32Array(17);

  function withPair(test: (a: number, b: number) => void): void {
    const before = openFds(native);
    const [a, b] = native.socketPair();
    test(a, b);
    for (const fd of [a, b]) native.close(fd);
    expect(openFds(native), 'no fd is left').toBe(before);
  }

  function sendFds(fd: number, message: Uint8Array, ...files: number[]): number {
    return native.send(fd, message, 0, message.length, Int32Array.of(files.length, ...files));
  }

  function read(fd: number, length = buffer.length, peek = false): number {
    return native.receive(fd, buffer, 0, length, fds, peek);
  }

  it('carries bytes, in any pieces', () => {
    withPair((a, b) => {
      expect(read(b)).toBe(-EAGAIN);
      expect(native.send(a, bytes(9, 1, 2, 3, 9), 1, 3, null)).toBe(3);
      expect(native.receive(b, buffer, 10, 2, fds)).toBe(2);
      expect([...buffer.subarray(10, 12)]).toEqual([1, 2]);
      expect(read(b)).toBe(1);
      expect([buffer[0], fds[0]]).toEqual([3, 0]);
    });
  });

  it('passes fds that refer to the same file', () => {
    withPair((a, b) => {
      const event = native.eventfd();
      expect(sendFds(a, bytes(1), event)).toBe(1);
      expect(read(b)).toBe(1);
      expect(fds[0]).toBe(1);
      native.signal(fds[1]!);
      expect(native.drain(event)).toBe(1);
      native.close(event);
      native.close(fds[1]!);
    });
  });

  it('ends a read after the buffer that carries fds: they belong to the last message', () => {
    withPair((a, b) => {
      const event = native.eventfd();
      for (const message of [1, 2]) native.send(a, bytes(message, message), 0, 2, null);
      sendFds(a, bytes(3, 3), event);
      native.send(a, bytes(4, 4), 0, 2, null);
      expect(read(b)).toBe(6);
      expect([...buffer.subarray(0, 6)]).toEqual([1, 1, 2, 2, 3, 3]);
      expect(fds[0]).toBe(1);
      expect(read(b)).toBe(2);
      expect([buffer[0], fds[0]]).toEqual([4, fds[0]]);
      expect(fds[0]).toBe(0);
      native.close(event);
      native.close(fds[1]!);
    });
  });

  it('gives the fds with the first byte of a message that is read in pieces', () => {
    withPair((a, b) => {
      const event = native.eventfd();
      sendFds(a, bytes(1, 2, 3), event);
      native.close(event);
      expect([read(b, 1), fds[0]]).toEqual([1, 1]);
      native.close(fds[1]!);
      expect([read(b), fds[0]]).toEqual([2, 0]);
    });
  });

  it('peeks: the bytes stay, and each look has duplicates of the fds', () => {
    withPair((a, b) => {
      const event = native.eventfd();
      sendFds(a, bytes(5), event);
      const copies: number[] = [];
      for (const peek of [true, true, false]) {
        expect([read(b, 1, peek), buffer[0], fds[0]]).toEqual([1, 5, 1]);
        copies.push(fds[1]!);
      }
      expect(new Set(copies).size).toBe(3);
      expect(read(b)).toBe(-EAGAIN);
      for (const fd of [event, ...copies]) native.close(fd);
    });
  });

  it('closes fds that do not fit, and says so', () => {
    withPair((a, b) => {
      const event = native.eventfd();
      sendFds(a, bytes(1, 2), event, event, event);
      expect(native.receive(b, buffer, 0, 8, new Int32Array(3))).toBe(-EMSGSIZE);
      sendFds(a, bytes(1, 2, 3), event, event);
      const few = new Int32Array(2);
      expect(native.receive(b, buffer, 0, 8, few)).toBe(-EMSGSIZE);
      expect(few[0], 'the bytes came').toBe(-3);
      native.close(event);
    });
  });

  it('closes fds that were never read', () => {
    withPair((a) => {
      const event = native.eventfd();
      sendFds(a, bytes(1), event);
      native.close(event);
    });
  });

  it('tells the end of the stream, and a reset', () => {
    const [a, b] = native.socketPair();
    native.send(a, bytes(1), 0, 1, null);
    native.close(a);
    expect([read(b), read(b), read(b)]).toEqual([1, 0, 0]);
    expect(native.send(b, bytes(1), 0, 1, null)).toBe(-EPIPE);
    native.close(b);

    const [c, d] = native.socketPair();
    native.send(d, bytes(1), 0, 1, null);
    native.close(c);
    expect([read(d), read(d)]).toEqual([-ECONNRESET, 0]);
    native.close(d);
  });

  it('hangs up: the peer reads what it was sent and then the end, whatever it has sent itself', () => {
    const before = openFds(native);
    const [a, b] = native.socketPair();
    const event = native.eventfd();
    for (let i = 0; i < 3; i++) sendFds(b, new Uint8Array(5000), event);
    native.send(a, bytes(7), 0, 1, null);
    expect(native.hangUp(a)).toBe(0);
    expect([read(b), buffer[0], read(b), read(b)]).toEqual([1, 7, 0, 0]);
    expect(native.send(b, bytes(1), 0, 1, null)).toBe(-EPIPE);
    for (const fd of [b, event]) native.close(fd);
    expect(openFds(native), 'the fds that nobody has read are closed').toBe(before);
    expect(native.hangUp(99_999)).toBe(-EBADF);
  });

  it('never blocks on a peer that does not read', () => {
    withPair((a, b) => {
      const big = new Uint8Array(1 << 20);
      let sent = 0;
      for (let result = 0; result >= 0; sent += Math.max(result, 0)) result = native.send(a, big, 0, big.length, null);
      expect(native.send(a, big, 0, big.length, null)).toBe(-EAGAIN);
      expect(sent).toBeGreaterThan(65536);
      let received = 0;
      for (let result = 1; result > 0; received += Math.max(result, 0))
        result = native.receive(b, big, 0, big.length, fds);
      expect(received).toBe(sent);
    });
  });

  it('refuses what is out of bounds', () => {
    withPair((a, b) => {
      for (const [offset, length] of [
        [250, 7],
        [-1, 1],
        [0, 0],
        [0.5, 1],
        [Number.NaN, 1],
        [257, 1],
      ] as const) {
        expect(native.send(a, buffer, offset, length, null)).toBe(-EINVAL);
        expect(native.receive(b, buffer, offset, length, fds)).toBe(-EINVAL);
      }
      expect(native.receive(b, buffer, 0, 1, new Int32Array(0))).toBe(-EINVAL);
      expect(native.send(a, buffer, 0, 1, Int32Array.of(2, 0))).toBe(-EINVAL);
      expect(sendFds(a, bytes(1), 99_999)).toBe(-EBADF);
      expect(native.receive(99_999, buffer, 0, 1, fds)).toBe(-EBADF);
    });
  });

  it('listens, connects and accepts', () => {
    const before = openFds(native);
    const path = join(folder, 'listen.sock');
    const listener = native.listen(path, 0o600, 4);
    expect(native.isListening(listener)).toBe(1);
    expect(native.accept(listener)).toBe(-EAGAIN);
    expect(() => native.listen(path, 0o600, 4)).toThrow(
      expect.objectContaining({ code: 'EADDRINUSE', syscall: 'listen' }),
    );
    const client = native.connect(path);
    const server = native.accept(listener);
    expect(server).toBeGreaterThan(0);
    expect(native.isListening(server)).toBe(0);
    expect(read(server), 'not blocking').toBe(-EAGAIN);
    expect(read(client), 'not blocking').toBe(-EAGAIN);
    for (const fd of [client, server, listener]) native.close(fd);
    expect(() => native.connect(path)).toThrow(expect.objectContaining({ code: 'ECONNREFUSED' }));
    expect(() => native.connect(join(folder, 'missing'))).toThrow(expect.objectContaining({ code: 'ENOENT' }));
    expect(openFds(native)).toBe(before);
  });
});

describe('sockets of the kernel', () => {
  const native: Native = natives[0]!.create();

  it.each(['127.0.0.1', '::1'])('listen by TCP at %s, on a port that is free or on that one', async (address) => {
    const listener = native.listenTcp(address, 0, 4);
    const port = native.tcpPort(listener);
    expect(port).toBeGreaterThan(1023);
    expect([native.isListening(listener), native.accept(listener)]).toEqual([1, -EAGAIN]);
    const inUse = expect.objectContaining({ code: 'EADDRINUSE', message: expect.stringContaining(`port ${port}`) });
    expect(() => native.listenTcp(address, port, 4)).toThrow(inUse);
    const client = connect(port, address);
    await new Promise((resolve) => client.once('connect', resolve));
    const server = native.accept(listener);
    expect(native.tcpPort(server)).toBe(port);
    expect(native.receive(server, new Uint8Array(1), 0, 1, new Int32Array(1)), 'not blocking').toBe(-EAGAIN);
    // The end that closes first is in TIME_WAIT: that keeps nobody from the port.
    for (const fd of [server, listener]) native.close(fd);
    await new Promise((resolve) => client.once('close', resolve).resume());
    native.close(native.listenTcp(address, port, 4));
  });

  it.each([
    ['localhost', 0, 'EINVAL'],
    ['127.0.0.1', 65536, 'EINVAL'],
    ['127.0.0.1', -1, 'EINVAL'],
    ['127.0.0.1\0', 0, 'EINVAL'],
    ['192.0.2.1', 0, 'EADDRNOTAVAIL'],
  ])('do not listen by TCP at %j port %i', (address, port, code) => {
    expect(() => native.listenTcp(address, port, 4)).toThrow(expect.objectContaining({ code }));
  });

  it('have a port when they are of TCP', () => {
    const [a, b] = native.socketPair();
    expect([native.tcpPort(a), native.tcpPort(99_999)]).toEqual([-EINVAL, -EBADF]);
    for (const fd of [a, b]) native.close(fd);
  });

  it.each([0o600, 0o660])('have the mode asked for (%o) whatever the umask', (mode) => {
    for (const umask of [0, 0o077]) {
      const path = join(folder, `mode-${mode}-${umask}`);
      const before = process.umask(umask);
      const fd = native.listen(path, mode, 1);
      process.umask(before);
      expect(statSync(path).mode & 0o777).toBe(mode);
      native.close(fd);
    }
  });

  it('refuse a path that is too long', () => {
    expect(() => native.listen(`/tmp/${'x'.repeat(110)}`, 0o600, 1)).toThrow(
      expect.objectContaining({ code: 'ENAMETOOLONG' }),
    );
  });

  it('never wait to be accepted', () => {
    // In a process of its own, which a wait would stop for good.
    const body = `
      const path = '/tmp/sidecard-full-' + process.pid;
      native.listen(path, 0o600, 0);
      const { unlinkSync } = await import('node:fs');
      let code;
      try { for (let i = 0; i < 4; i++) native.connect(path); } catch (error) { code = error.code; }
      unlinkSync(path);
      console.log(code);
    `;
    const { stdout } = spawnSync(process.execPath, moduleText(body), { encoding: 'utf8', timeout: 5000 });
    expect(stdout.trim()).toBe('EAGAIN');
  });

  it('lose no fd when the process may open no more', () => {
    const [node, ...script] = [
      process.execPath,
      ...moduleText(`
      import { readdirSync } from 'node:fs';
      const count = () => readdirSync('/proc/self/fd').length;
      const [a, b] = native.socketPair();
      const fds = Int32Array.of(4, a, a, a, a);
      native.send(a, new Uint8Array(5), 0, 5, fds);
      const fillers = [];
      for (let fd = 0; fd >= 0; fillers.push(fd)) fd = native.dup(a);
      native.close(fillers[0]); native.close(fillers[1]);
      const result = native.receive(b, new Uint8Array(8), 0, 8, fds);
      const free = [native.dup(a), native.dup(a), native.dup(a)].filter((fd) => fd >= 0).length;
      console.log(JSON.stringify({ result, came: fds[0], free }));
    `),
    ];
    const shell = ['-c', 'ulimit -n 64; exec "$0" "$@"', node, ...script];
    const { stdout, stderr } = spawnSync('bash', shell, { encoding: 'utf8' });
    expect(JSON.parse(stdout || stderr)).toEqual({ result: -EMSGSIZE, came: -5, free: 2 });
  });
});
