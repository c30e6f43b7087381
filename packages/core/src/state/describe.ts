import type { Declaration } from '../bits/register.ts';
import type { StructFields } from '../bits/struct.ts';
import type { NumberField } from '../bits/struct-field.ts';

/** A register declaration as JSON: names, offsets, widths, bits and access modes. */
export function describeRegisters(declaration: Declaration): unknown {
  return Object.entries(declaration).map(([name, declared]) => {
    if (declared.kind === 'register') {
      const { offset, widthBytes, mode, fields } = declared;
      if (fields === null) return { name, offset, widthBytes, mode };
      const bits = Object.entries(fields).map(([field, { mode, msb, lsb }]) => ({ name: field, msb, lsb, mode }));
      return { name, offset, widthBytes, bits };
    }
    const registers = describeRegisters(declared.registers);
    if (declared.kind === 'fragment') return { name, offset: declared.offset, registers };
    return { name, count: declared.count, strideBytes: declared.strideBytes, registers };
  });
}

export function describeStruct(fields: StructFields): unknown {
  return Object.entries(fields).map(([name, field]) => {
    const { kind, offset, lengthBytes } = field;
    if (kind !== 'number') return { name, kind, offset, lengthBytes };
    const { bigEndian, msb, lsb } = field as NumberField;
    return { name, type: `${bigEndian ? 'be' : 'le'}${lengthBytes * 8}`, offset, msb, lsb };
  });
}
