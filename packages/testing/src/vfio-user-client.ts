import {
  Command,
  DEVICE_INFO_BYTES,
  DeviceInfo,
  DMA_MAP_BYTES,
  DMA_UNMAP_BYTES,
  DmaMap,
  DmaMapFlag,
  DmaUnmap,
  DmaUnmapFlag,
  IRQ_INFO_BYTES,
  IRQ_SET_BYTES,
  IrqInfo,
  IrqSet,
  IrqSetFlag,
  REGION_ACCESS_BYTES,
  REGION_INFO_BYTES,
  RegionAccess,
  RegionInfo,
  type VersionData,
} from '@sidecard/core';
import { ClientWire } from './client-wire.ts';
import { succeeded } from './errno.ts';
import type { GuestRam } from './guest-ram.ts';
import { decodeFields, encodeFields } from './message.ts';
import { decodeRegionInfo, type RegionDescription } from './region-info.ts';
import { encodeWrites, type RegionWrite } from './region-writes.ts';
import type { ClientTransport } from './transport.ts';
import { decodeVersion, encodeVersion, type Negotiated, type VersionOffer } from './version.ts';

export interface DmaMapRequest {
  readonly iova: number | bigint;
  readonly sizeBytes: number | bigint;
  /** Where the region begins in the file, bytes. */
  readonly offset?: number | bigint;
  /** -1 or left out: the server has to ask by messages. The caller keeps it. */
  readonly fd?: number;
  /** DmaMapFlag; readable and writable unless given. */
  readonly flags?: number;
}

export interface IrqRequest {
  readonly index: number;
  /** IrqSetFlag: one of data, one of action. */
  readonly flags: number;
  readonly start?: number;
  readonly count: number;
  /** Eventfds; the caller keeps them. */
  readonly fds?: readonly number[];
  /** DATA_BOOL. */
  readonly bools?: readonly boolean[];
}

export interface DeviceDescription {
  readonly flags: number;
  readonly numRegions: number;
  readonly numIrqs: number;
}

/** The twin socket's descriptor as a transport. */
export type OpenTwin = (fd: number) => ClientTransport;

/**
 * The client's half of vfio-user, one method per command. A call waits for its reply as a virtual machine's processor would, and throws
 * CommandError when the server refuses; `wire` sends anything else.
 */
export class VfioUserClient {
  readonly wire: ClientWire;
  /** What VERSION came to; null before. */
  negotiated: Negotiated | null = null;

  constructor(transport: ClientTransport) {
    this.wire = new ClientWire(transport);
  }

  /** VERSION. Without `data` no JSON is sent. A twin socket that the server hands over is used when `openTwin` is given. */
  version(offer: VersionOffer = {}, openTwin?: OpenTwin): Negotiated {
    const reply = succeeded(this.wire.request(Command.version, encodeVersion(offer)));
    const negotiated = decodeVersion(reply);
    if (negotiated.twinFd >= 0 && openTwin !== undefined) this.wire.useTwin(openTwin(negotiated.twinFd));
    this.negotiated = negotiated;
    return negotiated;
  }

  /** The capabilities that the server has answered. */
  get capabilities(): NonNullable<VersionData['capabilities']> {
    return this.negotiated?.data.capabilities ?? {};
  }

  dmaMap(request: DmaMapRequest): void {
    const { iova, sizeBytes, offset = 0, fd = -1, flags = DmaMapFlag.readable | DmaMapFlag.writable } = request;
    const payload = encodeFields(DmaMap, DMA_MAP_BYTES, { argsz: DMA_MAP_BYTES, flags, offset, iova, sizeBytes });
    succeeded(this.wire.request(Command.dmaMap, payload, { fds: fd < 0 ? [] : [fd] }));
  }

  dmaUnmap(iova: number | bigint, sizeBytes: number | bigint): void {
    this.#unmap(iova, sizeBytes, 0);
  }

  dmaUnmapAll(): void {
    this.#unmap(0, 0, DmaUnmapFlag.all);
  }

  /** Maps guest memory as it is: with its file, or to be asked for by messages, which are answered from it. */
  mapRam(ram: GuestRam, flags?: number): void {
    if (!ram.shared) this.wire.dma.rams.push(ram);
    const { iova, sizeBytes, fd, fileOffset } = ram;
    this.dmaMap({ iova, sizeBytes, fd, offset: fileOffset, ...(flags !== undefined && { flags }) });
  }

  unmapRam(ram: GuestRam): void {
    this.dmaUnmap(ram.iova, ram.sizeBytes);
    this.wire.dma.rams.splice(0, this.wire.dma.rams.length, ...this.wire.dma.rams.filter((one) => one !== ram));
  }

  deviceInfo(): DeviceDescription {
    const payload = encodeFields(DeviceInfo, DEVICE_INFO_BYTES, { argsz: DEVICE_INFO_BYTES });
    const reply = succeeded(this.wire.request(Command.deviceGetInfo, payload));
    return decodeFields(DeviceInfo, DEVICE_INFO_BYTES, reply.payload);
  }

  /** GET_REGION_INFO; asked again with the room that the answer needs, as QEMU does, unless `argsz` is given. The caller owns the fds. */
  regionInfo(index: number, argsz?: number): RegionDescription {
    const ask = (size: number) => {
      const payload = encodeFields(RegionInfo, REGION_INFO_BYTES, { argsz: size, index });
      return decodeRegionInfo(succeeded(this.wire.request(Command.deviceGetRegionInfo, payload)));
    };
    const first = ask(argsz ?? REGION_INFO_BYTES);
    return argsz === undefined && first.argsz > REGION_INFO_BYTES ? ask(first.argsz) : first;
  }

  irqInfo(index: number): { flags: number; count: number } {
    const payload = encodeFields(IrqInfo, IRQ_INFO_BYTES, { argsz: IRQ_INFO_BYTES, index });
    const reply = succeeded(this.wire.request(Command.deviceGetIrqInfo, payload));
    const { flags, count } = decodeFields(IrqInfo, IRQ_INFO_BYTES, reply.payload);
    return { flags, count };
  }

  setIrqs(request: IrqRequest): void {
    const { index, flags, start = 0, count, fds = [], bools = [] } = request;
    const argsz = IRQ_SET_BYTES + bools.length;
    const payload = new Uint8Array(argsz);
    payload.set(encodeFields(IrqSet, IRQ_SET_BYTES, { argsz, flags, index, start, count }));
    payload.set(bools.map(Number), IrqSet.data);
    succeeded(this.wire.request(Command.deviceSetIrqs, payload, { fds }));
  }

  /** Disables an interrupt index: DATA_NONE, TRIGGER, count 0. */
  disableIrqs(index: number): void {
    this.setIrqs({ index, flags: IrqSetFlag.dataNone | IrqSetFlag.trigger, count: 0 });
  }

  regionRead(region: number, offset: number | bigint, lengthBytes: number): Uint8Array {
    const payload = encodeFields(RegionAccess, REGION_ACCESS_BYTES, { offset, region, count: lengthBytes });
    const reply = succeeded(this.wire.request(Command.regionRead, payload));
    return reply.payload.subarray(RegionAccess.data);
  }

  /** REGION_WRITE. `posted`: with No_reply, as QEMU writes memory BARs. */
  regionWrite(region: number, offset: number | bigint, bytes: Uint8Array, posted = false): void {
    const payload = new Uint8Array(REGION_ACCESS_BYTES + bytes.length);
    payload.set(encodeFields(RegionAccess, REGION_ACCESS_BYTES, { offset, region, count: bytes.length }));
    payload.set(bytes, RegionAccess.data);
    if (posted) this.wire.send(Command.regionWrite, payload, { noReply: true });
    else succeeded(this.wire.request(Command.regionWrite, payload));
  }

  /** REGION_WRITE_MULTI; the writes completed. */
  regionWriteMulti(writes: readonly RegionWrite[], posted = false): number {
    const payload = encodeWrites(writes);
    if (posted) {
      this.wire.send(Command.regionWriteMulti, payload, { noReply: true });
      return writes.length;
    }
    const reply = succeeded(this.wire.request(Command.regionWriteMulti, payload));
    return Number(new DataView(reply.payload.buffer).getBigUint64(0, true));
  }

  /** DEVICE_RESET. */
  reset(): void {
    succeeded(this.wire.request(Command.deviceReset));
  }

  close(): void {
    this.wire.transport.close();
  }

  #unmap(iova: number | bigint, sizeBytes: number | bigint, flags: number): void {
    const payload = encodeFields(DmaUnmap, DMA_UNMAP_BYTES, { argsz: DMA_UNMAP_BYTES, flags, iova, sizeBytes });
    succeeded(this.wire.request(Command.dmaUnmap, payload));
  }
}
