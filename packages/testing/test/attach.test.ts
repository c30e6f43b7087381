import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { startExerciser } from '../../core/test/exerciser/daemon.ts';
import { attach, type DaemonProcess, qemuFromEnvironment, transportFromEnvironment } from '../src/index.ts';

let daemon: DaemonProcess;
beforeAll(async () => {
  daemon = await startExerciser();
});
afterAll(() => daemon.remove());
afterEach(() => vi.unstubAllEnvs());

test('a daemon has one machine at a time; closed twice, or at the end of its block, it is free for the next', async () => {
  const first = await attach(daemon.socket, { transport: 'socket' });
  expect(first.transport).toBe('socket');
  await expect(attach(daemon.socket, { transport: 'socket' })).rejects.toThrow('hung up');
  await first.close();
  await first.close();
  for (const memory of ['shared', 'messages', 'late-messages'] as const) {
    await using next = await attach(daemon.socket, { transport: 'socket', memory });
    expect(next.function.vectorCount('msix')).toBe(32);
    expect((await next.reset()).vendor).toBe(next.function.vendor);
  }
});

test.each(['/no/such/socket', import.meta.filename])('where nobody listens: %s', async (path) => {
  await expect(attach(path, { transport: 'socket' })).rejects.toThrow(path);
});

test('a QEMU that is not there, or is no QEMU', async () => {
  const inQemu = (...command: string[]) => attach(daemon.socket, { transport: 'qemu', qemu: { command } });
  await expect(inQemu('no-such-qemu')).rejects.toThrow('no-such-qemu');
  await expect(inQemu(process.execPath)).rejects.toThrow(/^QEMU ended \(status 9\).*bad option/s);
});

test('what the environment says, and where it says nonsense', () => {
  vi.stubEnv('SIDECARD_QEMU', '/usr/bin/qemu-system-x86_64');
  expect(qemuFromEnvironment()).toEqual({ command: ['/usr/bin/qemu-system-x86_64'] });
  vi.stubEnv('SIDECARD_QEMU', '{"command": ["ld.so", "qemu"], "env": {"A": "b"}}');
  expect(qemuFromEnvironment()).toEqual({ command: ['ld.so', 'qemu'], env: { A: 'b' } });
  for (const nonsense of ['{', '{}', '{"command": []}', '{"command": "qemu"}', '{"command": [1]}']) {
    vi.stubEnv('SIDECARD_QEMU', nonsense);
    expect(qemuFromEnvironment, nonsense).toThrow('SIDECARD_QEMU is a program, or JSON');
  }
  vi.stubEnv('SIDECARD_TRANSPORT', 'QEMU');
  expect(transportFromEnvironment).toThrow('SIDECARD_TRANSPORT is one of in-process, socket, qemu, not QEMU');
  vi.stubEnv('SIDECARD_TRANSPORT', '');
  expect(transportFromEnvironment()).toBe('in-process');
});
