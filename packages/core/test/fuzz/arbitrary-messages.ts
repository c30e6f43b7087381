import {
  Command,
  DEVICE_FEATURE_BYTES,
  DEVICE_INFO_BYTES,
  DeviceFeature,
  DeviceInfo,
  DMA_MAP_BYTES,
  DMA_UNMAP_BYTES,
  DmaMap,
  DmaUnmap,
  HeaderFlag,
  IRQ_INFO_BYTES,
  IRQ_SET_BYTES,
  IrqInfo,
  IrqSet,
  IrqSetFlag,
  REGION_ACCESS_BYTES,
  REGION_INFO_BYTES,
  REGION_IO_FDS_BYTES,
  RegionAccess,
  RegionInfo,
  RegionIoFds,
} from '@sidecard/core';
import { encodeFields, encodeVersion, encodeWrites } from '@sidecard/testing';
import fc from 'fast-check';

/** A descriptor that goes with a message: which of the client's, and with which byte (taken modulo the message's length). */
export interface FuzzFd {
  readonly which: number;
  readonly at: number;
}

/** One message of a fuzzed session, and how it is sent. */
export interface FuzzMessage {
  readonly command: number;
  readonly payload: Uint8Array;
  readonly flags: number;
  /** What is added to the true size in the header: other than 0 and the stream makes no sense from there on. */
  readonly lie: number;
  /** Where it is cut (modulo its length); the server has its turn between pieces. */
  readonly cuts: readonly number[];
  readonly fds: readonly FuzzFd[];
}

/** Descriptors of a client: two memory files, three eventfds, a socket. */
export const FD_COUNT = 6;
const memoryFile = fc.record({ which: fc.nat(1), at: fc.nat(47) });
const eventFd = fc.record({ which: fc.integer({ min: 2, max: 4 }), at: fc.nat(19) });

/** A message that makes sense by itself; with `fds` where they belong to it. */
interface Plain {
  readonly command: number;
  readonly payload: Uint8Array;
  readonly fds?: readonly FuzzFd[];
}

const PAGE = 4096;
/** Few enough that maps, unmaps and DMA meet; and the edges of 64 bits. */
const iova = fc.oneof(
  { weight: 12, arbitrary: fc.integer({ min: 0, max: 12 }).map((page) => page * PAGE) },
  { weight: 1, arbitrary: fc.constantFrom(1n, 0xffff_ffff_f000n, (1n << 53n) - 4096n, (1n << 64n) - 4096n, 1n << 63n) },
  { weight: 1, arbitrary: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }) },
);
const sizeBytes = fc.oneof(
  { weight: 12, arbitrary: fc.integer({ min: 1, max: 4 }).map((pages) => pages * PAGE) },
  { weight: 1, arbitrary: fc.constantFrom<number | bigint>(0, 1, PAGE - 1, 1n << 40n, (1n << 64n) - 4096n) },
);
const argsz = (least: number) =>
  fc.oneof({ weight: 19, arbitrary: fc.constant(least) }, { weight: 1, arbitrary: fc.integer({ min: 0, max: 4096 }) });
const word = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 0, max: 5 }) },
  { weight: 1, arbitrary: fc.constantFrom(0x7fff_ffff, 0x8000_0000, 0xffff_ffff) },
);

const dmaMap = fc
  .record({
    argsz: argsz(DMA_MAP_BYTES),
    flags: fc.constantFrom(3, 3, 3, 3, 3, 3, 1, 2, 0, 7),
    offset: fc.constantFrom<number | bigint>(0, 0, 0, PAGE, 2 * PAGE, 100, 1n << 62n),
    iova,
    sizeBytes,
  })
  .map((fields) => ({ command: Command.dmaMap, payload: encodeFields(DmaMap, DMA_MAP_BYTES, fields) }));

const dmaUnmap = fc
  .record({ argsz: argsz(DMA_UNMAP_BYTES), flags: fc.constantFrom(0, 0, 0, 0, 2, 1), iova, sizeBytes })
  .map((fields) => {
    const all = fields.flags === 2 ? { iova: 0, sizeBytes: 0 } : {};
    return { command: Command.dmaUnmap, payload: encodeFields(DmaUnmap, DMA_UNMAP_BYTES, { ...fields, ...all }) };
  });

const questions = fc.oneof(
  fc.record({ argsz: argsz(DEVICE_INFO_BYTES) }).map((fields) => ({
    command: Command.deviceGetInfo,
    payload: encodeFields(DeviceInfo, DEVICE_INFO_BYTES, fields),
  })),
  fc.record({ argsz: argsz(64), index: fc.integer({ min: 0, max: 9 }) }).map((fields) => ({
    command: Command.deviceGetRegionInfo,
    payload: encodeFields(RegionInfo, REGION_INFO_BYTES, fields),
  })),
  fc.record({ argsz: argsz(REGION_IO_FDS_BYTES), index: word, flags: fc.constantFrom(0, 0, 1) }).map((fields) => ({
    command: Command.deviceGetRegionIoFds,
    payload: encodeFields(RegionIoFds, REGION_IO_FDS_BYTES, fields),
  })),
  fc.record({ argsz: argsz(IRQ_INFO_BYTES), index: word }).map((fields) => ({
    command: Command.deviceGetIrqInfo,
    payload: encodeFields(IrqInfo, IRQ_INFO_BYTES, fields),
  })),
  fc.record({ argsz: argsz(DEVICE_FEATURE_BYTES), flags: word }).map((fields) => ({
    command: Command.deviceFeature,
    payload: encodeFields(DeviceFeature, DEVICE_FEATURE_BYTES, fields),
  })),
);

const { dataNone, dataBool, dataEventfd, mask, unmask, trigger } = IrqSetFlag;
const setIrqs = fc
  .record({
    argsz: argsz(IRQ_SET_BYTES),
    data: fc.constantFrom(dataNone, dataBool, dataEventfd, dataEventfd, dataEventfd, 0, 7),
    action: fc.constantFrom(trigger, trigger, trigger, mask, unmask, 0, 0x38),
    index: word,
    start: word,
    count: word,
    bools: fc.uint8Array({ maxLength: 8 }),
  })
  .map(({ data, action, bools, ...fields }) => {
    const payload = new Uint8Array(IRQ_SET_BYTES + bools.length);
    payload.set(encodeFields(IrqSet, IRQ_SET_BYTES, { ...fields, flags: data | action }));
    payload.set(bools, IrqSet.data);
    return { command: Command.deviceSetIrqs, payload };
  });

/** Maps a memory file; the offset and size are inside of it. */
const mapFile = fc
  .record({ page: fc.integer({ min: 0, max: 12 }), pages: fc.integer({ min: 1, max: 4 }), fd: memoryFile })
  .map(({ page, pages, fd }): Plain => {
    const fields = { argsz: DMA_MAP_BYTES, flags: 3, offset: 0, iova: page * PAGE, sizeBytes: pages * PAGE };
    return { command: Command.dmaMap, payload: encodeFields(DmaMap, DMA_MAP_BYTES, fields), fds: [fd] };
  });

/** Vectors that exist, with as many eventfds, or none. */
const assignIrqs = fc
  .record({
    index: fc.constantFrom(0, 1, 1, 2, 2, 2, 3, 4),
    start: fc.integer({ min: 0, max: 3 }),
    fds: fc.array(eventFd, { maxLength: 4 }),
    action: fc.constantFrom(trigger, trigger, trigger, mask, unmask),
    data: fc.constantFrom(dataEventfd, dataEventfd, dataNone),
  })
  .map(({ index, start, fds, action, data }): Plain => {
    const one = index !== 1 && index !== 2;
    const mine = data === dataNone ? [] : fds.slice(0, one ? 1 : 4);
    const count = Math.max(1, mine.length);
    const fields = { argsz: 20, flags: data | action, index, start: one ? 0 : Math.min(start, 4 - count), count };
    return { command: Command.deviceSetIrqs, payload: encodeFields(IrqSet, IRQ_SET_BYTES, fields), fds: mine };
  });

/** Where accesses go: the exerciser's registers, config space, pages, and outside of everything. */
const place = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ region: fc.constant(0), offset: fc.integer({ min: 0, max: 15 }).map((n) => n * 4) }),
  },
  { weight: 3, arbitrary: fc.record({ region: fc.constant(7), offset: fc.integer({ min: 0, max: 300 }) }) },
  { weight: 2, arbitrary: fc.record({ region: fc.constant(0), offset: fc.integer({ min: 0x1ff0, max: 0x4010 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({ region: fc.integer({ min: 0, max: 10 }), offset: fc.integer({ min: 0, max: 0x11000 }) }),
  },
  { weight: 1, arbitrary: fc.record({ region: word, offset: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }) }) },
);

const regionRead = fc
  .record({
    place,
    count: fc.oneof({ weight: 9, arbitrary: fc.constantFrom(1, 2, 4, 8, 64, 4096) }, { weight: 1, arbitrary: word }),
  })
  .map(({ place: at, count }) => ({
    command: Command.regionRead,
    payload: encodeFields(RegionAccess, REGION_ACCESS_BYTES, { ...at, count }),
  }));

const values = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 0, max: 3 }).map((n) => Uint8Array.of(n, 0, 0, 0)) },
  { weight: 3, arbitrary: fc.integer({ min: 0, max: 12 }).map((n) => Uint8Array.of(0, n * 16, 0, 0)) },
  { weight: 2, arbitrary: fc.uint8Array({ maxLength: 9 }) },
  { weight: 1, arbitrary: fc.uint8Array({ minLength: 60, maxLength: 60 }) },
);

const regionWrite = fc.record({ place, bytes: values, lie: fc.constantFrom(0, 0, 0, 0, 0, 0, 0, 1, -1) }).map((one) => {
  const payload = new Uint8Array(REGION_ACCESS_BYTES + one.bytes.length);
  const count = Math.max(0, one.bytes.length + one.lie);
  payload.set(encodeFields(RegionAccess, REGION_ACCESS_BYTES, { ...one.place, count }));
  payload.set(one.bytes, RegionAccess.data);
  return { command: Command.regionWrite, payload };
});

const regionWriteMulti = fc
  .array(fc.record({ place, bytes: values }), { maxLength: 4 })
  .chain((writes) =>
    fc.constantFrom(writes.length, writes.length, writes.length, 0xffff_ffff, -1).map((n) => ({ writes, n })),
  )
  .map(({ writes, n }) => ({
    command: Command.regionWriteMulti,
    payload: encodeWrites(
      writes.map((one) => ({ ...one.place, bytes: one.bytes })),
      n,
    ),
  }));

const register = (offset: number, value: number) => ({
  region: 0,
  offset,
  bytes: new Uint8Array(Uint32Array.of(value).buffer),
});

/** DMA of the exerciser, or memory pinned as I/O in flight would. */
const dma = fc
  .record({
    iova: fc.integer({ min: 0, max: 13 * PAGE }),
    length: fc.constantFrom(0, 1, 64, 100, PAGE, 3 * PAGE, 0x10000),
    what: fc.constantFrom(1, 1, 2, 2, 3, 4),
  })
  .map(({ iova: at, length, what }): Plain => {
    const start = what <= 2 ? register(0x1c, what) : register(0x30, what - 3);
    const busMaster = { region: 7, offset: 4, bytes: Uint8Array.of(6, 4) };
    const writes = [busMaster, register(0x10, at), register(0x14, 0), register(0x18, length), start];
    return { command: Command.regionWriteMulti, payload: encodeWrites(writes) };
  });

const others = fc.oneof(
  fc.constant({ command: Command.deviceReset, payload: new Uint8Array(0) }),
  fc.constant({ command: Command.version, payload: encodeVersion({}) }),
  fc.record({ command: fc.integer({ min: 0, max: 40 }), payload: fc.uint8Array({ maxLength: 80 }) }),
);

const valid: fc.Arbitrary<Plain> = fc.oneof(
  { weight: 3, arbitrary: mapFile },
  { weight: 3, arbitrary: assignIrqs },
  { weight: 4, arbitrary: dma },
  { weight: 4, arbitrary: dmaMap },
  { weight: 3, arbitrary: dmaUnmap },
  { weight: 3, arbitrary: questions },
  { weight: 2, arbitrary: setIrqs },
  { weight: 3, arbitrary: regionRead },
  { weight: 8, arbitrary: regionWrite },
  { weight: 2, arbitrary: regionWriteMulti },
  { weight: 2, arbitrary: others },
);

/** Changes some bytes, cuts the payload, or makes it longer. */
const mutated = fc
  .record({
    one: valid,
    flips: fc.array(fc.record({ at: fc.nat(200), to: fc.integer({ min: 0, max: 255 }) }), { maxLength: 4 }),
    length: fc.option(fc.nat(100), { freq: 3 }),
  })
  .map(({ one, flips, length }) => {
    const payload = new Uint8Array(length ?? one.payload.length);
    payload.set(one.payload.subarray(0, payload.length));
    for (const { at, to } of flips) if (payload.length > 0) payload[at % payload.length] = to;
    return { command: one.command, payload };
  });

const flags = fc.oneof(
  { weight: 16, arbitrary: fc.constant(0) },
  { weight: 4, arbitrary: fc.constant<number>(HeaderFlag.noReply) },
  { weight: 1, arbitrary: fc.constantFrom(HeaderFlag.reply, 2, 15, HeaderFlag.error, 0x40, 0xffff_ffff) },
);

/** `lies` is how many in a thousand messages say a wrong size. */
export function arbitraryMessage(lies: number): fc.Arbitrary<FuzzMessage> {
  return fc
    .record({
      one: fc.oneof({ weight: 4, arbitrary: valid }, { weight: 1, arbitrary: mutated }),
      flags,
      lie: fc.oneof(
        { weight: 1000 - lies, arbitrary: fc.constant(0) },
        { weight: lies, arbitrary: fc.constantFrom(-1, 1, -16, 16, -100, 1000, 0x7000_0000) },
      ),
      cuts: fc.oneof(
        { weight: 3, arbitrary: fc.constant([]) },
        { weight: 1, arbitrary: fc.array(fc.nat(99), { maxLength: 3 }) },
      ),
      fds: fc.oneof(
        { weight: 2, arbitrary: fc.constant([]) },
        {
          weight: 1,
          arbitrary: fc.array(fc.record({ which: fc.nat(FD_COUNT - 1), at: fc.nat(99) }), {
            minLength: 1,
            maxLength: 3,
          }),
        },
      ),
    })
    .map(({ one, ...how }) => ({ ...how, ...one }));
}
