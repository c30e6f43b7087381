import type { PciFunction } from './function.ts';

/** A bus of functions by device (0 to 31) and function (0 to 7) number; each is exported on a socket of its own. */
export class PciBus {
  readonly #functions = new Map<number, PciFunction>();

  /** @throws when the place is taken, or does not exist. */
  add(device: number, number: number, pciFunction: PciFunction): void {
    if (!(device >= 0 && device < 32 && number >= 0 && number < 8))
      throw new Error(`no place ${device}.${number} on a bus`);
    const place = device * 8 + number;
    if (this.#functions.has(place)) throw new Error(`${device}.${number} is taken`);
    this.#functions.set(place, pciFunction);
    this.#showFunctions(device);
  }

  remove(device: number, number: number): void {
    this.#functions.delete(device * 8 + number);
    this.#showFunctions(device);
  }

  at(device: number, number: number): PciFunction | undefined {
    return this.#functions.get(device * 8 + number);
  }

  /** All functions, in the order in which system software finds them. */
  *functions(): Generator<{ device: number; number: number; function: PciFunction }> {
    for (const place of [...this.#functions.keys()].sort((a, b) => a - b)) {
      yield { device: place >>> 3, number: place & 7, function: this.#functions.get(place)! };
    }
  }

  /** A config cycle of 1, 2 or 4 bytes. Where there is no function it reads all ones (PCI Local Bus 3.0, 6.1). */
  readConfig(
    device: number,
    number: number,
    offset: number,
    target: Uint8Array,
    at: number,
    lengthBytes: number,
  ): void {
    const { config } = this.at(device, number) ?? {};
    if (config && offset + lengthBytes <= config.sizeBytes) config.read(offset, target, at, lengthBytes);
    else target.fill(0xff, at, at + lengthBytes);
  }

  writeConfig(
    device: number,
    number: number,
    offset: number,
    source: Uint8Array,
    at: number,
    lengthBytes: number,
  ): void {
    const { config } = this.at(device, number) ?? {};
    if (config && offset + lengthBytes <= config.sizeBytes) config.write(offset, source, at, lengthBytes);
  }

  /** System software looks for functions 1 to 7 only where function 0 says that there are more (6.2.1, header type). */
  #showFunctions(device: number): void {
    let count = 0;
    for (let number = 0; number < 8; number++) if (this.at(device, number)) count++;
    for (let number = 0; number < 8; number++) this.at(device, number)?.showMultiFunction(count > 1);
  }
}
