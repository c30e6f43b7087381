import { loadNative } from '@sidecard/native';
import { GuestRam, NvmeDriver, PciBus, qemuOffer, RecordedLog, VfioUserClient, VfioUserPort } from '@sidecard/testing';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { startNvme } from './daemon.ts';
import { hostileAction } from './hostile-actions.ts';
import { HostileScene } from './hostile-scene.ts';
import { type Machine, type Way, ways } from './machine.ts';
import { TestDrive } from './test-drive.ts';

/** Of each kind of memory; by hand with the addon under AddressSanitizer, and more of them. */
const cases = Number(process.env.SIDECARD_CASES ?? 15);
const daemon = await startNvme(['--drive', 'file={folder}/disk.img,size=1M']);

afterAll(async () => {
  expect(await daemon.stop(), daemon.log).toBe(0);
  await daemon.remove();
});

/** A machine whose controller is in another process: what a test does to the drive or asks of the controller is for nothing. */
function attach(way: Way): Machine & { close(): void } {
  const native = loadNative();
  const client = new VfioUserClient(daemon.connect());
  const size = { sizeBytes: 1 << 20 };
  const ram = way === 'mapped' ? GuestRam.shared(native, size) : GuestRam.private(size);
  client.version(qemuOffer);
  client.mapRam(ram);
  const port = new VfioUserPort(native, client, ram);
  const handle = new PciBus().add(port);
  const idle = new Int32Array(new SharedArrayBuffer(4));
  const machine = {
    client,
    ram,
    native,
    handle,
    driver: new NvmeDriver(handle),
    drive: new TestDrive(4096),
    log: new RecordedLog(),
    controller: { inFlight: 0 },
    settle: (turns = 200) => {
      for (let turn = 0; turn < Math.min(turns, 50); turn++) if (!port.turn()) Atomics.wait(idle, 0, 0, 0.1);
    },
    close: () => port.close(),
  };
  return machine as unknown as Machine & { close(): void };
}

test.each(ways)(
  'random hostile drivers of a daemon, %s memory: it lives, and serves the next',
  async (way) => {
    const property = fc.asyncProperty(
      fc.array(hostileAction, { minLength: 1, maxLength: 40, size: '+1' }),
      async (list) => {
        const machine = attach(way);
        const scene = new HostileScene(way, machine);
        try {
          await scene.start();
          for (const one of list) await one.act(scene);
          await scene.recovers();
        } catch (error) {
          throw new Error(`${error}; the daemon: ${daemon.log.slice(-2000)}`, { cause: error });
        } finally {
          machine.close();
          scene.close();
        }
        expect(daemon.running, daemon.log).toBe(true);
      },
    );
    // What one leaves behind is the next one's: the same list alone may do well.
    await fc.assert(property, { numRuns: cases, endOnFailure: true });
    expect(daemon.log).not.toContain('report');
  },
  3_000_000,
);
