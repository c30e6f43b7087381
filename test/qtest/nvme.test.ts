/** The NVMe driver through QEMU's own vfio-user-pci: the machine is real, and the test is its processor. */
import { provision, startDevice } from '@sidecard/guest';
import { loadNative } from '@sidecard/native';
import { NvmeDriver, type NvmeDriverOptions, PciBus, QtestMachine } from '@sidecard/testing';
import { afterEach, describe, expect, test } from 'vitest';
import { noGuests } from '../guest/requirements.ts';

const native = loadNative();
const blockBytes = 512;
const cleanup: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of cleanup.splice(0).reverse()) await close();
});

async function driver(options: NvmeDriverOptions & { sharedMemory: boolean }): Promise<NvmeDriver> {
  const device = await startDevice('sidecard-nvme', ['--drive', 'mem:64M']);
  cleanup.push(() => device.remove());
  const { command, env } = (await provision()).qemu;
  const { sharedMemory } = options;
  const machine = await QtestMachine.start(native, { command, env, sockets: [device.socket], sharedMemory });
  cleanup.push(() => machine.close());
  const nvme = new NvmeDriver(new PciBus().add(machine.ports[0]!), options);
  await nvme.enable();
  return nvme;
}

describe.skipIf(noGuests).each([
  { memory: 'shared memory', sharedMemory: true },
  { memory: 'memory by messages', sharedMemory: false },
])('NVMe through QEMU, $memory', ({ sharedMemory }) => {
  test.each(['polled', 'intx', 'msi', 'msix'] as const)('blocks are written and read, %s', async (interrupts) => {
    const nvme = await driver({ sharedMemory, interrupts, vectors: interrupts === 'msix' ? 3 : 1 });
    expect(await nvme.identifyController()).toMatchObject({ model: 'Sidecard NVMe Controller' });
    const queue = await nvme.createQueues(1);
    const data = Uint8Array.from({ length: 64 * 1024 }, (_, index) => (index * 31) >> 3);
    await nvme.write(queue, 1, 100, data, { blockBytes, scattered: true, pageOffset: 512 });
    expect(await nvme.read(queue, 1, 100, data.length, { blockBytes })).toEqual(data);
    for (let round = 0; round < 20; round++) await nvme.flush(queue, 1);
    await nvme.deleteQueues(1);
    await nvme.disable();
  });
});
