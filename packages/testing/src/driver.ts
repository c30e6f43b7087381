import type {
  Accessible,
  BitFields,
  Declaration,
  Declared,
  Register,
  RegisterMap,
  RegisterValues,
} from '@sidecard/core';

/** A register map as its driver sees it: reading a property is a guest read, assigning one a guest write. */
export type RegisterDriver<D extends Declaration> = RegisterValues<D>;

/**
 * Registers of `accessible` by the names of its map. An access is as wide as the register; assigning a field reads the register,
 * changes the field and writes it back, as a driver would. A 64-bit register is read and written in one access.
 *
 *     const guest = driver(EduRegisters, edu.regs);
 *     guest.factorial = 10;
 *     guest.status.computing;
 */
export function driver<D extends Declaration>(
  map: RegisterMap<D>,
  accessible: Accessible,
  offset = 0,
): RegisterDriver<D> {
  return group(map.declaration, accessible, offset) as RegisterDriver<D>;
}

function group(declaration: Declaration, accessible: Accessible, base: number): object {
  const target = {};
  for (const [name, declared] of Object.entries(declaration)) {
    Object.defineProperty(target, name, { enumerable: true, ...property(declared, accessible, base) });
  }
  return target;
}

function property(declared: Declared, accessible: Accessible, base: number): PropertyDescriptor {
  if (declared.kind === 'fragment') {
    return { value: group(declared.registers, accessible, base + declared.offset) };
  }
  if (declared.kind === 'array') {
    const { count, strideBytes, registers } = declared;
    return { value: Array.from({ length: count }, (_, i) => group(registers, accessible, base + i * strideBytes)) };
  }
  const port = new RegisterPort(declared, accessible, base + declared.offset);
  if (declared.fields === null) return { get: () => Number(port.read()), set: (value: number) => port.write(value) };
  return { value: fields(declared.fields, port) };
}

function fields(declared: BitFields, port: RegisterPort): object {
  const target = {};
  Object.defineProperty(target, 'value', {
    get: () => Number(port.read()),
    set: (value: number) => port.write(value),
  });
  for (const [name, { msb, lsb }] of Object.entries(declared)) {
    const mask = (1n << BigInt(msb - lsb + 1)) - 1n;
    Object.defineProperty(target, name, {
      enumerable: true,
      get: () => Number((port.read() >> BigInt(lsb)) & mask),
      set: (value: number) => {
        const rest = port.read() & ~(mask << BigInt(lsb));
        port.write(rest | ((BigInt(value) & mask) << BigInt(lsb)));
      },
    });
  }
  return target;
}

class RegisterPort {
  readonly #register: Register;
  readonly #accessible: Accessible;
  readonly #offset: number;
  readonly #bytes = new Uint8Array(8);
  readonly #view = new DataView(this.#bytes.buffer);

  constructor(register: Register, accessible: Accessible, offset: number) {
    this.#register = register;
    this.#accessible = accessible;
    this.#offset = offset;
  }

  read(): bigint {
    this.#bytes.fill(0);
    this.#accessible.read(this.#offset, this.#bytes, 0, this.#register.widthBytes);
    return this.#view.getBigUint64(0, true);
  }

  write(value: number | bigint): void {
    this.#view.setBigUint64(0, BigInt.asUintN(64, BigInt(value)), true);
    this.#accessible.write(this.#offset, this.#bytes, 0, this.#register.widthBytes);
  }
}
