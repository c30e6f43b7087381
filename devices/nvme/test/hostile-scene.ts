import { setTimeout } from 'node:timers/promises';
import {
  Command,
  DMA_UNMAP_BYTES,
  DmaMapFlag,
  DmaUnmap,
  REGION_ACCESS_BYTES,
  RegionAccess,
  RegionIndex,
} from '@sidecard/core';
import { CapabilityId, encodeFields, GuestRam, NvmeError, type QueuePair, until } from '@sidecard/testing';
import { expect } from 'vitest';
import { Status } from '../src/status.ts';
import { type Machine, type MachineOptions, machine, pattern, type Way } from './machine.ts';

const canary = 0xa5;
const PAGE = 4096;

/** A stretch of guest addresses that the client has mapped, and how. */
interface Map {
  readonly iova: number;
  readonly sizeBytes: number;
  readonly readable: boolean;
  readonly writable: boolean;
}

/** Guest addresses of a map that may go and come back. */
export interface Region extends Map {
  readonly ram: GuestRam;
}

/**
 * A machine whose memory is full of traps: besides plain memory there is a ROM, memory that can only be written, and an island whose shores are not
 * mapped though they are in the same file. Whatever the device reaches for outside of what is mapped is found by `check`.
 */
export class HostileScene {
  readonly machine: Machine;
  readonly way: Way;
  /** Eight pages, of which the four in the middle are mapped. */
  readonly island: Region;
  readonly rom: Region;
  /** A device may write here, and not read. */
  readonly sink: Region;
  readonly maps: Map[] = [];
  readonly outside: string[] = [];
  /** Memory that was unmapped, and is to stay as it is. */
  readonly #gone = new Set<Region>();

  constructor(way: Way, over: Machine | MachineOptions = {}) {
    this.way = way;
    this.machine = 'client' in over ? over : machine(way, { ramBytes: 1 << 20, ...over });
    const { ram } = this.machine;
    this.maps.push({ iova: ram.iova, sizeBytes: ram.sizeBytes, readable: true, writable: true });
    this.island = this.#region(0x3000_0000, 2, 4, true, true);
    this.rom = this.#region(0x4000_0000, 0, 4, true, false);
    this.sink = this.#region(0x5000_0000, 0, 4, false, true);
    const { dma } = this.machine.client.wire;
    const { decide } = dma;
    dma.decide = (request) => {
      const { kind, iova, lengthBytes } = request;
      const allowed = this.maps.some(
        (map) =>
          iova >= map.iova &&
          iova + lengthBytes <= map.iova + map.sizeBytes &&
          (kind === 'read' ? map.readable : map.writable),
      );
      if (!allowed) this.outside.push(`${kind} of ${lengthBytes} bytes at ${iova.toString(16)}h`);
      return decide(request);
    };
  }

  /** Mappings of the guest's side alone. */
  get ownMappings(): number {
    return this.way === 'mapped' ? 4 : 0;
  }

  close(): void {
    for (const { ram } of [this.machine, this.island, this.rom, this.sink]) ram.close();
  }

  /** Starts the controller, with an I/O queue pair of 16 entries. */
  async start(): Promise<QueuePair> {
    await this.machine.driver.enable();
    return this.machine.driver.createQueues(1, { entries: 16 });
  }

  map(region: Region): void {
    const { ram, iova, sizeBytes, readable, writable } = region;
    const flags = (readable ? DmaMapFlag.readable : 0) | (writable ? DmaMapFlag.writable : 0);
    const offset = ram.fileOffset + (iova - ram.iova);
    this.machine.client.dmaMap({ iova, sizeBytes, fd: ram.fd, offset: ram.shared ? offset : 0, flags });
    if (!ram.shared) this.machine.client.wire.dma.rams.push(ram);
    if (!writable) ram.store(iova, pattern(sizeBytes));
    this.#gone.delete(region);
    this.maps.push(region);
  }

  /** DMA_UNMAP; its id, without waiting for the answer. */
  sendUnmap({ iova, sizeBytes }: Region): number {
    const payload = encodeFields(DmaUnmap, DMA_UNMAP_BYTES, { argsz: DMA_UNMAP_BYTES, iova, sizeBytes });
    return this.machine.client.wire.send(Command.dmaUnmap, payload);
  }

  /** Function Level Reset (PCI Express Base 3.0, 7.8.4); its id, without waiting for the answer. */
  sendReset(): number {
    const { handle, client } = this.machine;
    const offset = handle.find(CapabilityId.express)! + 8;
    const payload = new Uint8Array(REGION_ACCESS_BYTES + 2);
    payload.set(encodeFields(RegionAccess, REGION_ACCESS_BYTES, { offset, region: RegionIndex.config, count: 2 }));
    payload.set([0, 0x80], RegionAccess.data);
    return client.wire.send(Command.regionWrite, payload);
  }

  /** Waits for the answer as a processor would, while promises of a device in this process go on. */
  async answered(id: number): Promise<void> {
    const { wire } = this.machine.client;
    await until(this.machine.handle.port, () => wire.replies.some((reply) => reply.id === id), `answer ${id}`, 60_000);
    wire.reply(id);
  }

  /** Waits until nothing uses it any more, and fills it anew: then it is to stay so. */
  unmap(region: Region): void {
    this.machine.client.dmaUnmap(region.iova, region.sizeBytes);
    this.forget(region);
  }

  /** An unmap of it has been answered. */
  forget(region: Region): void {
    this.maps.splice(this.maps.indexOf(region), 1);
    const { rams } = this.machine.client.wire.dma;
    if (rams.includes(region.ram)) rams.splice(rams.indexOf(region.ram), 1);
    region.ram.buffer.bytes.fill(canary);
    this.#gone.add(region);
  }

  /** Nothing was touched that is not mapped, or not to be written. */
  check(): void {
    expect(this.outside).toEqual([]);
    const { island, rom } = this;
    const shores = [
      island.ram.load(island.ram.iova, 2 * PAGE),
      island.ram.load(island.iova + island.sizeBytes, 2 * PAGE),
    ];
    for (const shore of shores) expect(shore.every((byte) => byte === canary)).toBe(true);
    const content = this.#gone.has(rom) ? new Uint8Array(rom.sizeBytes).fill(canary) : pattern(rom.sizeBytes);
    expect(Buffer.compare(rom.ram.load(rom.iova, rom.sizeBytes), content)).toBe(0);
    for (const { ram } of this.#gone)
      expect(ram.buffer.bytes.subarray(ram.fileOffset).every((byte) => byte === canary)).toBe(true);
  }

  /** Whatever was done, a driver that behaves has its disk again, nothing is left in flight, and nothing went wrong inside. */
  async recovers(): Promise<void> {
    const { driver, drive, controller, log, handle, settle } = this.machine;
    drive.stalled = false;
    handle.setBusMaster(true);
    settle(500);
    // As Linux: until it is not ready, whatever else it says meanwhile.
    driver.registers.cc.value = 0;
    await until(handle.port, () => driver.registers.csts.rdy === 0, 'CSTS.RDY to be 0');
    await driver.enable();
    const queue = await driver.createQueues(1);
    await this.#works(queue);
    await driver.disable();
    settle();
    expect(controller.inFlight).toBe(0);
    expect(log.lines.filter(({ level }) => level === 'error')).toEqual([]);
    this.check();
  }

  /** Data comes back as it was written, unless the namespace is detached by now. A format goes on over resets, and ends when it does. */
  async #works(queue: QueuePair): Promise<void> {
    const { driver, settle } = this.machine;
    const data = pattern(4096, 9);
    for (let tries = 0; tries < 500; tries++) {
      const { sizeBlocks, blockBytes } = await driver.identifyNamespace(1);
      if (sizeBlocks === 0) return;
      try {
        await driver.write(queue, 1, 64, data, { blockBytes });
        expect(await driver.read(queue, 1, 64, 4096, { blockBytes })).toEqual(data);
        return;
      } catch (error) {
        const formatting = error instanceof NvmeError && error.completion.status === Status.formatInProgress;
        if (!formatting && (await driver.identifyNamespace(1)).blockBytes === blockBytes) throw error;
        settle();
        await setTimeout(10);
      }
    }
    throw new Error('the format never ends');
  }

  /** `pages` mapped pages behind `before` that are not, and as many after them. */
  #region(iova: number, before: number, pages: number, readable: boolean, writable: boolean): Region {
    const { native } = this.machine;
    const options = { iova, sizeBytes: (pages + 2 * before) * PAGE };
    const ram = this.way === 'mapped' ? GuestRam.shared(native, options) : GuestRam.private(options);
    ram.buffer.bytes.fill(canary);
    const region = { ram, iova: iova + before * PAGE, sizeBytes: pages * PAGE, readable, writable };
    this.map(region);
    return region;
  }
}
