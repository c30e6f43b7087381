import { array, fragment, type RegisterFile, registers, ro, rw, u16, u32, wo } from '@sidecard/core';
import { expect, test } from 'vitest';

const Part = fragment(4, { control: u16(0, { enable: rw(0) }) });
const EduRegisters = registers(0x100, {
  id: u32(0x00, ro, 0x0100_00ed),
  inverse: u32(0x04, rw),
  status: u32(0x20, { computing: ro(0), irqWhenDone: rw(7) }),
  irqStatus: u32(0x24, ro),
  irqRaise: u32(0x60, wo),
  doorbells: array(2, 8, { tail: u32(0x80, wo) }),
  part: Part.at(0xf0),
});

/** As design.md shows a device: hooks that use the register file that they belong to. */
class Edu {
  level = 0;
  readonly regs = EduRegisters.create({
    inverse: {
      write: (now) => {
        this.regs.inverse = ~now >>> 0;
      },
    },
    irqRaise: { write: (bits) => this.interrupt(this.regs.irqStatus | bits) },
    doorbells: { tail: { write: (now, _was, index) => this.interrupt(now + index) } },
  });
  interrupt(status: number): void {
    this.regs.irqStatus = status;
    this.level = status;
  }
}

test('a device refers to its registers in its hooks', () => {
  const edu = new Edu();
  const regs: RegisterFile<typeof EduRegisters.declaration> = edu.regs;
  regs.write(0x60, new Uint8Array([3, 0, 0, 0]), 0, 4);
  expect(edu.level).toBe(3);
});

test('a mistyped register, field or hook does not compile', () => {
  const regs = EduRegisters.create();
  // @ts-expect-error no such register
  regs.inverze;
  // @ts-expect-error no such field
  regs.status.compluting;
  // @ts-expect-error a register with fields is not a number
  const status: number = regs.status;
  const assign = () => {
    // @ts-expect-error nor is it assigned
    regs.status = 1;
  };
  // @ts-expect-error no such register in a fragment
  regs.part.controll;
  // @ts-expect-error no such register in an array
  regs.doorbells[0]?.tale;
  // @ts-expect-error a hook of no register
  EduRegisters.create({ inverze: { write: () => {} } });
  // @ts-expect-error no such hook
  EduRegisters.create({ inverse: { wriet: () => {} } });
  // @ts-expect-error a hook in an array of no register
  EduRegisters.create({ doorbells: { tale: { write: () => {} } } });
  // @ts-expect-error a hook in a fragment of no register
  EduRegisters.create({ part: { controll: { write: () => {} } } });
  // @ts-expect-error no such mode
  const stringMode = () => registers(4, { a: u32(0, 'rw') });
  // @ts-expect-error a field is made of bits
  const wholeField = () => registers(4, { a: u32(0, { b: rw }) });
  const numbers: number[] = [regs.id, regs.status.computing, regs.part.control.enable, regs.doorbells[0]!.tail];
  expect(numbers).toHaveLength(4);
  expect([status, assign, stringMode, wholeField].map((it) => typeof it)).toEqual([
    'object',
    'function',
    'function',
    'function',
  ]);
});
