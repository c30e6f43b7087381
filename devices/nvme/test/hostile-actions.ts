import { Command } from '@sidecard/core';
import { encodeCommand, encodeSgl, SglType } from '@sidecard/testing';
import fc from 'fast-check';
import type { HostileScene, Region } from './hostile-scene.ts';

const PAGE = 4096;

/** Something that a driver, or the machine around it, does to the device; what comes of it is the device's business. */
export interface HostileAction {
  readonly act: (scene: HostileScene) => void | Promise<void>;
  readonly toString: () => string;
}

function action<T>(name: string, drawn: fc.Arbitrary<T>, act: (scene: HostileScene, value: T) => void | Promise<void>) {
  return drawn.map(
    (value): HostileAction => ({
      act: (scene) => act(scene, value),
      toString: () => `${name} ${fc.stringify(value)}`,
    }),
  );
}

const word = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 0, max: 20 }) },
  { weight: 1, arbitrary: fc.constantFrom(0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0xffff, 0x10000) },
  { weight: 1, arbitrary: fc.nat(0xffff_ffff) },
);

/** Addresses worth pointing to: plain memory, the arrays of the queues, traps, edges, and where no memory is. */
const place = fc.oneof(
  { weight: 8, arbitrary: fc.nat(60).map((page) => 0x1_0000_0000 + page * PAGE) },
  { weight: 2, arbitrary: fc.nat(8).map((page) => 0x3000_0000 + page * PAGE) },
  { weight: 2, arbitrary: fc.nat(4).map((page) => 0x4000_0000 + page * PAGE) },
  { weight: 2, arbitrary: fc.nat(4).map((page) => 0x5000_0000 + page * PAGE) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(0, 0xe000_0000, 0xe000_1000, 0x1_000f_f000, 0x1_0010_0000, 2 ** 53, 2 ** 63),
  },
);
const address = fc
  .record({ place, offset: fc.constantFrom(0, 0, 0, 0, 8, 16, 4, 1, 512, 4088, 4080, 4095) })
  .map((drawn) => drawn.place + drawn.offset);

const command = fc.record({
  opcode: fc.oneof(
    { weight: 5, arbitrary: fc.constantFrom(0, 1, 2, 4, 5, 8, 9, 12, 25) },
    { weight: 1, arbitrary: fc.nat(255) },
  ),
  flags: fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(0, 0, 0x40, 0x80, 1, 2) },
    { weight: 1, arbitrary: fc.nat(255) },
  ),
  nsid: fc.oneof({ weight: 5, arbitrary: fc.constant(1) }, { weight: 1, arbitrary: word }),
  mptr: address,
  prp1: address,
  prp2: address,
  cdw10: fc.oneof({ weight: 3, arbitrary: fc.nat(64) }, { weight: 1, arbitrary: word }),
  cdw11: fc.oneof({ weight: 3, arbitrary: fc.constantFrom(0, 1, 4, 0x1_0001) }, { weight: 1, arbitrary: word }),
  cdw12: fc.oneof({ weight: 3, arbitrary: fc.nat(40) }, { weight: 1, arbitrary: word }),
  cdw13: word,
  cdw14: word,
  cdw15: word,
});

/** SGL1 in the place of PRP1 and PRP2. */
const descriptor = fc.record({
  type: fc.constantFrom(0, 0, 1, 2, 2, 3, 3, 4, 5, 15),
  subType: fc.constantFrom(0, 0, 0, 1, 15),
  address,
  lengthBytes: fc.constantFrom(0, 16, 16, 32, 512, 4096, 15, 0xffff_fff0, 0xffff_ffff),
});

const admin = fc.record({
  opcode: fc.constantFrom(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 21, 0x7c, 0x80, 0x84),
  number: fc.constantFrom(0, 1, 1, 2, 3, 64, 65),
  size: fc.constantFrom(0, 1, 7, 15, 63, 4095, 65535),
  flags: fc.constantFrom(1, 1, 3, 0, 0x1_0001, 0x2_0001),
  prp1: address,
  prp2: address,
});

function pushed({ machine }: HostileScene, queue: number, bytes: Uint8Array): void {
  const { driver, ram } = machine;
  const ring = queue === 0 ? driver.admin : driver.queues.get(1);
  if (ring === undefined) return;
  ram.store(ring.sqIova + ring.tail * 64, bytes);
  ring.tail = (ring.tail + 1) % ring.entries;
  driver.trapped.tail(ring.id, ring.tail);
}

/** Takes what has completed, as far as that can be said of queues that are written over. */
function reap({ machine: { driver } }: HostileScene): void {
  for (const ring of [driver.admin, driver.queues.get(1)]) if (ring !== undefined) ring.reap();
}

/** Of namespace 1, and what time passes after. */
const drawnLimits = fc.record({
  iops: fc.option(fc.constantFrom(1, 100, 5000)),
  bytesPerSecond: fc.option(fc.constantFrom(1, 10_000, 100_000_000)),
  passMs: fc.constantFrom(0, 1, 10, 1000),
});

const regions = fc.constantFrom<'island' | 'rom' | 'sink'>('island', 'rom', 'sink');

async function toggle(scene: HostileScene, region: Region): Promise<void> {
  if (scene.maps.includes(region)) {
    await scene.answered(scene.sendUnmap(region));
    scene.forget(region);
  } else scene.map(region);
}

export const hostileAction: fc.Arbitrary<HostileAction> = fc.oneof(
  {
    weight: 8,
    arbitrary: action('command', command, (scene, drawn) =>
      pushed(scene, 1, encodeCommand(drawn, drawn.cdw15 & 0xffff)),
    ),
  },
  {
    weight: 4,
    arbitrary: action('SGL command', fc.record({ command, descriptor }), (scene, drawn) => {
      const bytes = encodeCommand({ ...drawn.command, flags: 0x40 }, drawn.command.cdw15 & 0xffff);
      bytes.set(encodeSgl([drawn.descriptor]), 24);
      pushed(scene, 1, bytes);
    }),
  },
  {
    weight: 4,
    arbitrary: action('admin', admin, (scene, { opcode, number, size, flags, prp1, prp2 }) => {
      const cdw10 = ((size << 16) | number) >>> 0;
      pushed(scene, 0, encodeCommand({ opcode, nsid: number, prp1, prp2, cdw10, cdw11: flags }, number));
    }),
  },
  {
    weight: 2,
    arbitrary: action('admin garbage', command, (scene, drawn) =>
      pushed(scene, 0, encodeCommand(drawn, drawn.cdw14 & 0xffff)),
    ),
  },
  {
    weight: 3,
    arbitrary: action(
      'list',
      fc.record({
        at: fc.nat(60),
        entries: fc.array(address, { minLength: 1, maxLength: 8 }),
        from: fc.constantFrom(0, 4032),
      }),
      ({ machine: { ram } }, { at, entries, from }) => {
        const list = Array.from({ length: 8 }, (_, index) => BigInt(entries[index % entries.length]!));
        ram.store(0x1_0000_0000 + at * PAGE + from, new Uint8Array(BigUint64Array.from(list).buffer));
      },
    ),
  },
  {
    weight: 3,
    arbitrary: action(
      'segment',
      fc.record({ at: fc.nat(60), descriptors: fc.array(descriptor, { minLength: 1, maxLength: 8 }) }),
      ({ machine: { ram } }, { at, descriptors }) => {
        const all = Array.from({ length: 256 }, (_, index) => descriptors[index % descriptors.length]!);
        ram.store(0x1_0000_0000 + at * PAGE, encodeSgl(all));
      },
    ),
  },
  {
    weight: 1,
    arbitrary: action('segment to itself', fc.nat(60), ({ machine: { ram } }, at) => {
      const address = 0x1_0000_0000 + at * PAGE;
      ram.store(address, encodeSgl([{ type: SglType.segment, address, lengthBytes: 16 }]));
    }),
  },
  {
    weight: 2,
    arbitrary: action(
      'garbage',
      fc.record({ at: fc.nat(60 * PAGE - 256), bytes: fc.uint8Array({ minLength: 1, maxLength: 200 }) }),
      ({ machine: { ram } }, { at, bytes }) => ram.store(0x1_0000_0000 + at, bytes),
    ),
  },
  {
    weight: 3,
    arbitrary: action(
      'doorbell',
      fc.record({ index: fc.nat(140), value: word }),
      ({ machine: { driver } }, { index, value }) => {
        if (index % 2 === 0) driver.trapped.tail(index >> 1, value);
        else driver.trapped.head(index >> 1, value);
      },
    ),
  },
  {
    weight: 1,
    arbitrary: action(
      'CC',
      fc.oneof(
        fc.record({ enabled: fc.nat(1), rest: fc.nat(0xff_ffff) }).map(({ enabled, rest }) => (rest & ~1) | enabled),
        fc.constantFrom(0, 0x46_0001, 0x46_4001, 0x46_8001, 0x46_0081, 0x46_0801, 0x46_0011),
      ),
      ({ machine: { driver } }, value) => {
        driver.registers.cc.value = value;
      },
    ),
  },
  {
    weight: 1,
    arbitrary: action(
      'register',
      fc.record({ offset: fc.nat(0x40), bytes: fc.uint8Array({ minLength: 1, maxLength: 8 }) }),
      ({ machine: { client } }, { offset, bytes }) => {
        try {
          client.regionWrite(0, offset, bytes);
        } catch (error) {
          // Of a size or at a place that the device does not take.
          if (!(error instanceof Error) || !('errno' in error)) throw error;
        }
      },
    ),
  },
  {
    weight: 1,
    arbitrary: action('admin queues', fc.record({ asq: address, acq: address, aqa: word }), ({ machine }, drawn) => {
      const { registers } = machine.driver;
      registers.asq = drawn.asq;
      registers.acq = drawn.acq;
      registers.aqa = drawn.aqa;
    }),
  },
  {
    weight: 8,
    arbitrary: action('turns', fc.integer({ min: 1, max: 40 }), ({ machine }, count) => machine.settle(count)),
  },
  { weight: 2, arbitrary: action('reap', fc.constant(0), reap) },
  {
    weight: 2,
    arbitrary: action('drive', fc.constantFrom('inline', 'slow', 'stalled'), ({ machine: { drive } }, speed) => {
      drive.slow = speed !== 'inline';
      drive.stalled = speed === 'stalled';
    }),
  },
  {
    weight: 2,
    arbitrary: action('map or unmap', regions, (scene, which) => {
      // Stalled for ever, an unmap would be answered by nobody.
      scene.machine.drive.stalled = false;
      return toggle(scene, scene[which]);
    }),
  },
  {
    weight: 1,
    arbitrary: action('bus mastering', fc.boolean(), ({ machine: { handle } }, on) => handle.setBusMaster(on)),
  },
  {
    weight: 1,
    arbitrary: action('reset', fc.constantFrom('function', 'device', 'posted'), async (scene, kind) => {
      const { drive, client, handle } = scene.machine;
      drive.stalled = kind === 'posted' && drive.stalled;
      const id = kind === 'function' ? scene.sendReset() : client.wire.send(Command.deviceReset);
      if (kind !== 'posted') await scene.answered(id);
      handle.setBusMaster(true);
    }),
  },
  {
    weight: 1,
    arbitrary: action('entry point', address, (scene, iova) => {
      // The driver forgets where its queue is.
      pushed(scene, 0, encodeCommand({ opcode: 5, prp1: iova, cdw10: (3 << 16) | 2, cdw11: 1 }, 7));
      pushed(scene, 0, encodeCommand({ opcode: 1, prp1: iova, cdw10: (3 << 16) | 2, cdw11: (2 << 16) | 1 }, 8));
      scene.machine.settle(10);
      scene.machine.driver.trapped.tail(2, 2);
    }),
  },
);

/** What a person does meanwhile, to a controller of this process. */
export const limitsAction: fc.Arbitrary<HostileAction> = action(
  'limits',
  drawnLimits,
  (scene, { passMs, ...limits }) => {
    const { controller, server } = scene.machine;
    controller.namespaces.allocated(1)?.setLimits(limits);
    server.clock.advance(passMs);
  },
);
