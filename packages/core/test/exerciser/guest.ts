import { RegionIndex } from '@sidecard/core';
import { driver, type RegisterDriver, type VfioUserClient } from '@sidecard/testing';
import { DMA_BUFFER_BYTES, ExerciserRegisters } from './registers.ts';

/** The exerciser's driver: its registers, its DMA buffer, and what a guest does with them, all by messages. */
export class ExerciserGuest {
  readonly client: VfioUserClient;
  readonly registers: RegisterDriver<typeof ExerciserRegisters.declaration>;

  constructor(client: VfioUserClient) {
    this.client = client;
    this.registers = driver(ExerciserRegisters, {
      sizeBytes: ExerciserRegisters.sizeBytes,
      read: (offset, target, at, length) => target.set(client.regionRead(0, offset, length), at),
      write: (offset, source, at, length) => client.regionWrite(0, offset, source.slice(at, at + length)),
    });
  }

  setBusMaster(on: boolean): void {
    this.client.regionWrite(RegionIndex.config, 4, Uint8Array.of(on ? 6 : 2, 0));
  }

  /** Has the device load guest memory; its bytes, or null when it met a fault. */
  load(iova: number, lengthBytes: number): Uint8Array | null {
    if (!this.#dma(1, iova, lengthBytes)) return null;
    return this.client.regionRead(5, 0, lengthBytes);
  }

  /** Has the device store to guest memory; false when it met a fault. */
  store(iova: number, bytes: Uint8Array): boolean {
    this.client.regionWrite(5, 0, bytes);
    return this.#dma(2, iova, bytes.length);
  }

  /** Starts an access without waiting for its end. */
  start(direction: 1 | 2, iova: number, lengthBytes: number): void {
    if (lengthBytes > DMA_BUFFER_BYTES) throw new RangeError('more than the buffer holds');
    this.registers.dmaIova = iova;
    this.registers.dmaLength = lengthBytes;
    this.registers.dmaStart = direction;
  }

  /** Pins guest memory, as I/O in flight does; false when it isn't there. */
  pin(iova: number, lengthBytes: number): boolean {
    this.registers.dmaIova = iova;
    this.registers.dmaLength = lengthBytes;
    this.registers.pin = 1;
    return this.registers.pinStatus === 0;
  }

  unpin(): void {
    this.registers.pin = 0;
  }

  #dma(direction: 1 | 2, iova: number, lengthBytes: number): boolean {
    this.start(direction, iova, lengthBytes);
    const deadline = Date.now() + 5000;
    for (;;) {
      const status = this.registers.dmaStatus;
      if (status === 2) return true;
      if (status === 3) return false;
      if (Date.now() > deadline) throw new Error('DMA does not end');
      this.client.wire.turn();
    }
  }
}
