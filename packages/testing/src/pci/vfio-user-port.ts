import { type Accessible, HostBuffer, IrqIndex, IrqSetFlag, RegionIndex } from '@sidecard/core';
import { type Native, systemError } from '@sidecard/native';
import type { GuestRam } from '../guest-ram.ts';
import type { VfioUserClient } from '../vfio-user-client.ts';
import type { InterruptLine, InterruptMode, PciPort } from './port.ts';

const modeIndex: { readonly [mode in InterruptMode]: number } = {
  intx: IrqIndex.intx,
  msi: IrqIndex.msi,
  msix: IrqIndex.msix,
};

export interface VfioUserPortOptions {
  /** Writes to memory BARs don't wait for a reply, as QEMU's. */
  readonly postedWrites?: boolean;
}

/** A function that our own vfio-user client is connected to. */
export class VfioUserPort implements PciPort {
  readonly client: VfioUserClient;
  readonly ram: GuestRam;
  readonly #native: Native;
  readonly #options: VfioUserPortOptions;
  #mode: InterruptMode | null = null;
  #eventFds: number[] = [];
  readonly #mapped: ArrayBuffer[] = [];

  constructor(native: Native, client: VfioUserClient, ram: GuestRam, options: VfioUserPortOptions = {}) {
    this.#native = native;
    this.client = client;
    this.ram = ram;
    this.#options = options;
  }

  readConfig(offset: number, lengthBytes: number): number {
    const bytes = this.client.regionRead(RegionIndex.config, offset, lengthBytes);
    return bytes.reduceRight((sum, byte) => sum * 256 + byte, 0);
  }

  writeConfig(offset: number, lengthBytes: number, value: number): void {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, value, true);
    this.client.regionWrite(RegionIndex.config, offset, bytes.subarray(0, lengthBytes));
  }

  bar(index: number, _address: number, sizeBytes: number, kind: 'memory' | 'io'): Accessible {
    const { client } = this;
    const posted = kind === 'memory' && this.#options.postedWrites === true;
    return {
      sizeBytes,
      read: (offset, target, targetOffset, lengthBytes) =>
        target.set(client.regionRead(index, offset, lengthBytes), targetOffset),
      write: (offset, source, sourceOffset, lengthBytes) =>
        client.regionWrite(index, offset, source.subarray(sourceOffset, sourceOffset + lengthBytes), posted),
    };
  }

  /** Maps the mappable area of a BAR that `offset` is in, from `offset` on. @throws where the device offers none. */
  mapBar(index: number, offset: number): HostBuffer {
    const { areas, fds, sizeBytes, offset: base } = this.client.regionInfo(index);
    const all = areas.length === 0 && fds.length > 0 ? [{ offset: 0, sizeBytes }] : areas;
    const area = all.find((one) => offset >= one.offset && offset < one.offset + one.sizeBytes);
    const [fd] = fds;
    if (area === undefined || fd === undefined) throw new Error(`BAR ${index} cannot be mapped at ${offset}`);
    // The base may be below zero (64 bits wrap): the file has no more than the areas.
    const fileOffset = Number(BigInt.asUintN(64, BigInt(base) + BigInt(area.offset)));
    const mapped = this.#native.map(fd, fileOffset, area.sizeBytes, true);
    for (const one of fds) this.#native.close(one);
    if (typeof mapped === 'number') throw systemError(mapped, 'mmap');
    this.#mapped.push(mapped);
    return new HostBuffer(mapped, offset - area.offset);
  }

  /** Lets mappings and interrupts go, and hangs up. */
  close(): void {
    for (const buffer of this.#mapped.splice(0)) this.#native.unmap(buffer);
    for (const fd of this.#eventFds.splice(0)) this.#native.close(fd);
    this.client.close();
  }

  connectInterrupts(mode: InterruptMode, vectors: number): readonly InterruptLine[] {
    this.disconnectInterrupts();
    const index = modeIndex[mode];
    this.#mode = mode;
    this.#eventFds = Array.from({ length: vectors }, () => this.#native.eventfd());
    const most = this.client.capabilities.max_msg_fds ?? 1;
    const flags = IrqSetFlag.dataEventfd | IrqSetFlag.trigger;
    for (let start = 0; start < vectors; start += most) {
      const fds = this.#eventFds.slice(start, start + most);
      this.client.setIrqs({ index, flags, start, count: fds.length, fds });
    }
    return this.#eventFds.map((fd) => ({
      take: () => this.#native.drain(fd),
      unmask: () => {
        if (mode === 'intx') this.client.setIrqs({ index, flags: IrqSetFlag.dataNone | IrqSetFlag.unmask, count: 1 });
      },
    }));
  }

  disconnectInterrupts(): void {
    if (this.#mode !== null) this.client.disableIrqs(modeIndex[this.#mode]);
    this.#mode = null;
    for (const fd of this.#eventFds.splice(0)) this.#native.close(fd);
  }

  turn(): boolean {
    return this.client.wire.turn();
  }
}
