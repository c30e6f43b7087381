import { HostBuffer } from '../../src/bits/host-buffer.ts';
import { ro, rw, u32, u64, wo } from '../../src/bits/register.ts';
import { registers } from '../../src/bits/register-map.ts';
import { DmaTask } from '../../src/memory/guest-memory.ts';
import type { Host, PciDevice, ResetKind } from '../../src/pci/device.ts';

/** QEMU's teaching device, nearly: https://www.qemu.org/docs/master/specs/edu.html */
export const EduRegisters = registers(0x1000, {
  id: u32(0x00, ro, 0x0100_00ed),
  inverse: u32(0x04, rw),
  factorial: u32(0x08, rw),
  status: u32(0x20, { computing: ro(0), irqWhenDone: rw(7) }),
  irqStatus: u32(0x24, ro),
  irqRaise: u32(0x60, wo),
  irqAck: u32(0x64, wo),
  dmaSource: u64(0x80, rw),
  dmaTarget: u64(0x88, rw),
  dmaCount: u64(0x90, rw),
  dmaCommand: u32(0x98, rw),
});

/** Bits of dmaCommand: as edu's, with the guest's address in dmaSource or dmaTarget by direction. */
export const start = 1;
export const toGuest = 2;
const BUFFER_BYTES = 64 * 1024;

export class Edu implements PciDevice {
  readonly identity = {
    vendor: 0x1234,
    device: 0x11e8,
    classCode: 0x00ff00,
    interrupts: { intx: true, msi: 1 },
    express: true,
  };
  readonly regs = EduRegisters.create({
    inverse: {
      write: (now) => {
        this.regs.inverse = ~now >>> 0;
      },
    },
    factorial: { write: (n) => this.#compute(n) },
    irqRaise: { write: (bits) => this.#interrupt(this.regs.irqStatus | bits) },
    irqAck: { write: (bits) => this.#interrupt(this.regs.irqStatus & ~bits) },
    dmaCommand: { write: (bits) => bits & start && this.#host.defer(this.#startDma) },
  });
  readonly bars = {
    0: { kind: 'memory32', sizeBytes: 0x1000, windows: [{ offset: 0, sizeBytes: 0x1000, registers: this.regs }] },
  } as const;
  /** The memory that DMA reads and writes. */
  readonly buffer = HostBuffer.alloc(BUFFER_BYTES);
  readonly resets: ResetKind[] = [];
  readonly failures: string[] = [];
  inFlight = 0;
  memoryChanges = 0;
  readonly #host: Host;
  readonly #startDma = () => {
    this.inFlight++;
    this.#dma.resume();
  };
  readonly #dma: EduDma;

  constructor(host: Host) {
    this.#host = host;
    this.#dma = new EduDma(this, host);
  }

  reset(kind: ResetKind): void {
    this.resets.push(kind);
    if (kind !== 'disconnect') this.regs.reset();
  }

  failed(reason: string): void {
    this.failures.push(reason);
  }

  memoryChanged(): void {
    this.memoryChanges++;
  }

  interruptLevel(): boolean {
    return this.regs.irqStatus !== 0;
  }

  #compute(n: number): void {
    let product = 1;
    for (let i = 2; i <= n; i++) product = Math.imul(product, i) >>> 0;
    this.regs.factorial = product;
    if (this.regs.status.irqWhenDone) this.#interrupt(this.regs.irqStatus | 1);
  }

  #interrupt(status: number): void {
    this.regs.irqStatus = status >>> 0;
    if (this.#host.interrupt.mode === 'msi' && status !== 0) this.#host.interrupt.signal(0);
    this.#host.interrupt.update();
  }
}

/** The last result is in dmaCommand: 0 when it went well, 0x100 after a fault. */
class EduDma extends DmaTask {
  readonly #edu: Edu;
  readonly #host: Host;

  constructor(edu: Edu, host: Host) {
    super();
    this.#edu = edu;
    this.#host = host;
  }

  resume(): void {
    const { regs, buffer } = this.#edu;
    const { memory } = this.#host;
    const outwards = (regs.dmaCommand & toGuest) !== 0;
    const result = outwards
      ? memory.store(this, regs.dmaTarget, buffer, 0, regs.dmaCount)
      : memory.load(this, regs.dmaSource, buffer, 0, regs.dmaCount);
    if (result === 'pending') return;
    regs.dmaCommand = result === 'done' ? 0 : 0x100;
    this.#edu.inFlight--;
  }
}
