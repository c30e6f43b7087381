import type { HostBuffer } from './host-buffer.ts';
import { Bank, numberProperty } from './number-property.ts';
import type { BitFields, Declaration, Declared, Register } from './register.ts';

type BankClass = new (piece: HostBuffer, base: number) => Bank;

/** Names that a register or group cannot have. */
const taken = new Set(['map', 'bytes', 'sizeBytes', 'read', 'write', 'reset', 'constructor', '__proto__']);

/** A class per declaration: the accessors are on the prototype, so that the elements of an array share one shape. */
export function defineGroup(declaration: Declaration, prototype: object): (bank: Bank, piece: HostBuffer) => void {
  const children: { name: string; make(piece: HostBuffer, base: number): unknown }[] = [];
  for (const [name, declared] of Object.entries(declaration)) {
    // Digits are indexes: in a path they are no level of the names.
    if (taken.has(name) || name.startsWith('$') || /^\d+$/.test(name))
      throw new Error(`a register cannot be called ${name}`);
    if (declared.kind === 'register' && declared.fields === null) {
      Object.defineProperty(prototype, name, numberProperty(wholeOf(declared)));
    } else children.push({ name, make: childMaker(declared) });
  }
  return (bank, piece) => {
    for (const { name, make } of children) {
      Object.defineProperty(bank, name, { value: make(piece, bank.$base), enumerable: true });
    }
  };
}

function childMaker(declared: Declared): (piece: HostBuffer, base: number) => unknown {
  if (declared.kind === 'register') {
    const Fields = fieldsClass(declared);
    return (piece, base) => new Fields(piece, base);
  }
  const Group = groupClass(declared.registers);
  if (declared.kind === 'fragment') return (piece, base) => new Group(piece, base + declared.offset);
  const { count, strideBytes } = declared;
  return (piece, base) => Array.from({ length: count }, (_, i) => new Group(piece, base + i * strideBytes));
}

function groupClass(declaration: Declaration): BankClass {
  class RegisterGroup extends Bank {
    constructor(piece: HostBuffer, base: number) {
      super(piece, base);
      addChildren(this, piece);
    }
  }
  const addChildren = defineGroup(declaration, RegisterGroup.prototype);
  return RegisterGroup;
}

function fieldsClass(register: Register): BankClass {
  class RegisterFields extends Bank {}
  const place = wholeOf(register);
  Object.defineProperty(RegisterFields.prototype, 'value', numberProperty(place));
  for (const [name, { msb, lsb }] of Object.entries(register.fields as BitFields)) {
    Object.defineProperty(RegisterFields.prototype, name, numberProperty({ ...place, msb, lsb }));
  }
  return RegisterFields;
}

function wholeOf({ offset, widthBytes }: Register) {
  return { offset, widthBytes, bigEndian: false, msb: widthBytes * 8 - 1, lsb: 0 };
}
