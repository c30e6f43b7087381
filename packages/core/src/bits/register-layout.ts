import type { AccessMode, BitField, BitFields, Declaration, Register, WidthBytes } from './register.ts';

/** One register of a map, arrays and fragments unrolled: for drivers, tracers and documents. */
export interface PlacedRegister {
  /** Names from the outermost, with the index of array elements: ['doorbells', '3', 'tail']. */
  readonly path: readonly string[];
  readonly offset: number;
  readonly widthBytes: WidthBytes;
  /** Of the array element it is in, counted through nested arrays; else 0. */
  readonly index: number;
  readonly register: Register;
}

const modes: readonly AccessMode[] = ['ro', 'rw', 'wo', 'w1c', 'w1s', 'rc'];

/** What a declaration comes to, byte by byte. */
export class RegisterLayout {
  readonly sizeBytes: number;
  readonly registers: PlacedRegister[] = [];
  readonly owner: Uint16Array;
  readonly masks: { readonly [M in AccessMode]: Uint8Array };
  readonly resetBytes: Uint8Array;

  constructor(sizeBytes: number, declaration: Declaration) {
    if (!Number.isInteger(sizeBytes) || sizeBytes <= 0) throw new Error(`a register map of ${sizeBytes} bytes`);
    const plane = () => new Uint8Array(sizeBytes);
    this.sizeBytes = sizeBytes;
    this.owner = new Uint16Array(sizeBytes);
    this.masks = { ro: plane(), rw: plane(), wo: plane(), w1c: plane(), w1s: plane(), rc: plane() };
    this.resetBytes = plane();
    this.#placeAll(declaration, [], 0, 0);
  }

  #placeAll(declaration: Declaration, path: readonly string[], base: number, index: number): void {
    for (const [name, declared] of Object.entries(declaration)) {
      const inner = [...path, name];
      if (declared.kind === 'register') this.#place(declared, inner, base, index);
      else if (declared.kind === 'fragment') {
        const where = `fragment ${inner.join('.')}`;
        if (base + declared.offset + declared.sizeBytes > this.sizeBytes) throw new Error(`${where} does not fit`);
        const sub = new RegisterLayout(declared.sizeBytes, declared.registers);
        if (sub.registers.length === 0) throw new Error(`${where} is empty`);
        this.#placeAll(declared.registers, inner, base + declared.offset, index);
      } else {
        const { count, strideBytes } = declared;
        if (!Number.isInteger(count) || count < 1) throw new Error(`array ${inner.join('.')} of ${count}`);
        for (let i = 0; i < count; i++) {
          this.#placeAll(declared.registers, [...inner, `${i}`], base + i * strideBytes, index * count + i);
        }
      }
    }
  }

  #place(register: Register, path: readonly string[], base: number, index: number): void {
    const name = path.join('.');
    const { widthBytes } = register;
    const offset = base + register.offset;
    if (!Number.isInteger(offset) || offset < 0 || offset + widthBytes > this.sizeBytes) {
      throw new Error(`register ${name} at ${hex(offset)} does not fit into ${hex(this.sizeBytes)} bytes`);
    }
    this.registers.push({ path, offset, widthBytes, index, register });
    if (this.registers.length > 65535) throw new Error('more than 65,535 registers');
    for (let at = offset; at < offset + widthBytes; at++) {
      const other = this.owner[at]!;
      if (other !== 0) {
        throw new Error(`registers ${name} and ${this.registers[other - 1]!.path.join('.')} overlap at ${hex(at)}`);
      }
      this.owner[at] = this.registers.length;
    }
    this.#describeBits(register, name, offset);
  }

  #describeBits(register: Register, name: string, offset: number): void {
    const { widthBytes, fields, mode, reset } = register;
    const widthBits = widthBytes * 8;
    if (fields === null) this.#mark({ mode: mode!, msb: widthBits - 1, lsb: 0, reset: 0 }, offset, name);
    else this.#markFields(fields, name, offset, widthBits);
    if (!fits(reset, widthBits)) throw new Error(`reset value ${reset} of ${name} does not fit`);
    let rest = reset;
    for (let at = offset; at < offset + widthBytes; at++) {
      const byte = rest % 256;
      const declared = modes.reduce((bits, m) => bits | this.masks[m][at]!, 0);
      if ((byte & ~declared) !== 0) throw new Error(`reset value ${hex(reset)} of ${name} sets undeclared bits`);
      this.resetBytes[at] = this.resetBytes[at]! | byte;
      rest = Math.floor(rest / 256);
    }
  }

  #markFields(fields: BitFields, name: string, offset: number, widthBits: number): void {
    for (const [fieldName, field] of Object.entries(fields)) {
      const { msb, lsb, reset } = field;
      const fieldPath = `${name}.${fieldName}`;
      if (fieldName === 'value' || fieldName.startsWith('$')) throw new Error(`field ${fieldPath}: the name is taken`);
      if (!Number.isInteger(msb) || !Number.isInteger(lsb) || lsb < 0 || msb < lsb || msb >= widthBits) {
        throw new Error(`field ${fieldPath}: bits ${msb}:${lsb} of ${widthBits}`);
      }
      if (msb - lsb > 52) throw new Error(`field ${fieldPath} has more than 53 bits`);
      if (!fits(reset, msb - lsb + 1)) throw new Error(`reset value ${reset} of ${fieldPath} does not fit`);
      this.#mark(field, offset, fieldPath);
    }
  }

  #mark(field: BitField, offset: number, name: string): void {
    let rest = field.reset;
    for (let bit = field.lsb; bit <= field.msb; bit++) {
      const at = offset + (bit >>> 3);
      const mask = 1 << (bit & 7);
      if (modes.some((mode) => (this.masks[mode][at]! & mask) !== 0)) throw new Error(`fields overlap: ${name}`);
      this.masks[field.mode][at] = this.masks[field.mode][at]! | mask;
      if (rest % 2 === 1) this.resetBytes[at] = this.resetBytes[at]! | mask;
      rest = Math.floor(rest / 2);
    }
  }
}

function fits(value: number, bits: number): boolean {
  return Number.isInteger(value) && value >= 0 && value < 2 ** bits;
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
