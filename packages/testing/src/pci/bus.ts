import { PciFunctionHandle } from './function-handle.ts';
import type { PciPort } from './port.ts';

/** A bus of functions: gives their BARs addresses that don't overlap. */
export class PciBus {
  readonly functions: PciFunctionHandle[] = [];
  #memory = 0xe000_0000;
  #io = 0xc000;

  /** Finds the function behind a port. @throws when nothing answers there. */
  add(port: PciPort): PciFunctionHandle {
    if (port.readConfig(0, 2) === 0xffff) throw new Error('no function answers');
    const found = new PciFunctionHandle(port, (kind, sizeBytes) => this.#place(kind, sizeBytes));
    this.functions.push(found);
    return found;
  }

  /** The first function of a vendor and device. */
  find(vendor: number, device: number): PciFunctionHandle | null {
    return this.functions.find((one) => one.vendor === vendor && one.device === device) ?? null;
  }

  #place(kind: 'memory' | 'io', sizeBytes: number): number {
    const from = kind === 'memory' ? this.#memory : this.#io;
    const address = Math.ceil(from / sizeBytes) * sizeBytes;
    if (kind === 'memory') this.#memory = address + sizeBytes;
    else this.#io = address + sizeBytes;
    return address;
  }
}
