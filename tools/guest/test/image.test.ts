import { zstdCompressSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { plainKernel } from '../src/image.ts';
import { loadOrder } from '../src/initramfs.ts';
import { machineArguments, vfioUserDevice } from '../src/machine.ts';

test('modules load after what they need', () => {
  const dependencies = [
    'kernel/fs/ext4.ko: kernel/fs/jbd2.ko kernel/lib/crc16.ko kernel/fs/mbcache.ko',
    'kernel/fs/jbd2.ko:',
    'kernel/lib/crc16.ko:',
    'kernel/fs/mbcache.ko:',
  ].join('\n');
  const order = loadOrder(dependencies, ['jbd2', 'ext4']);
  expect(order.at(-1)).toBe('kernel/fs/ext4.ko');
  expect(order).toHaveLength(4);
  expect(() => loadOrder(dependencies, ['nvme'])).toThrow('no module nvme');
});

test('the kernel comes out of its wrapper', () => {
  const content = Buffer.from('the kernel itself');
  const packed = zstdCompressSync(content);
  const payload = Buffer.concat([packed, Buffer.alloc(4)]);
  const image = Buffer.alloc(5 * 512 + 100 + payload.length);
  image.writeUInt8(4, 0x1f1);
  image.writeUInt32LE(100, 0x248);
  image.writeUInt32LE(payload.length, 0x24c);
  payload.copy(image, 5 * 512 + 100);
  expect(plainKernel(image)).toEqual(content);
});

test('a kernel packed in another way is left as it is', () => {
  const image = Buffer.alloc(4096);
  expect(plainKernel(image)).toBe(image);
});

test('devices are attached by JSON, with what else QEMU is to know', () => {
  expect(vfioUserDevice({ socket: '/run/x', bootindex: 1 })).toEqual({
    driver: 'vfio-user-pci',
    socket: { type: 'unix', path: '/run/x' },
    bootindex: 1,
  });
});

test.each([
  [true, 'memory-backend-memfd,id=ram,size=512M,share=on'],
  [false, 'memory-backend-ram,id=ram,size=512M'],
])('guest memory that is shared: %s', (sharedMemory, backend) => {
  const image = { kernel: 'k', initrd: 'i', root: 'r' };
  const channels = { agent: 'a', qmp: 'q', console: 'c' };
  const args = machineArguments({ memoryMiB: 512, sharedMemory }, image, channels, 'tcg');
  expect(args).toContain(backend);
});
