import {
  ascii,
  be16,
  be32,
  be64,
  bytes,
  HostBuffer,
  le8,
  le16,
  le32,
  le64,
  type RecordOf,
  records,
  struct,
} from '@sidecard/core';
import { expect, test } from 'vitest';

const Command = struct(64, {
  opcode: le8(0),
  fuse: le8(1).bits(1, 0),
  psdt: le8(1).bits(7, 6),
  cid: le16(2),
  nsid: le32(4),
  prp1: le64(24),
  slba: le64(40),
  nlb: le32(48).bits(15, 0),
  fua: le32(48).bits(30),
});
type Command = RecordOf<typeof Command>;

test('a record decodes what was loaded into its buffer', () => {
  const command: Command = new Command();
  expect(command.buffer.lengthBytes).toBe(64);
  command.buffer.bytes.set([0x02, 0x81, 0x34, 0x12, 1, 0, 0, 0x80]);
  expect([command.opcode, command.fuse, command.psdt, command.cid]).toEqual([2, 1, 2, 0x1234]);
  expect(command.nsid).toBe(0x8000_0001);
  command.buffer.bytes.fill(0xff, 24, 32);
  expect(command.prp1).toBe(2 ** 64);
});

test('assignment encodes, and bits leave their neighbours', () => {
  const command = new Command();
  command.psdt = 3;
  command.fuse = 2;
  command.nlb = 0x1_ffff;
  command.fua = 1;
  command.slba = 0x12_3456_789a;
  expect([...command.buffer.bytes.subarray(40, 52)]).toEqual([
    0x9a, 0x78, 0x56, 0x34, 0x12, 0, 0, 0, 255, 255, 0, 0x40,
  ]);
  expect(command.buffer.bytes[1]).toBe(0xc2);
});

test('big endian numbers, bytes, text and inner records', () => {
  const Format = struct(4, { metadata: le16(0), shift: le8(2), performance: le8(3).bits(1, 0) });
  const Page = struct(64, {
    length: be16(0),
    top: be16(2).bits(15),
    block: be32(4),
    blocks: be64(8).bits(47, 16),
    serial: ascii(16, 8),
    guid: bytes(24, 8),
    formats: records(32, 4, Format),
  });
  const page = new Page();
  page.length = 0x1234;
  page.top = 1;
  page.block = 0xdead_beef;
  page.blocks = 0x0102_0304;
  page.serial = 'AB\u00e9';
  page.guid.set([1, 2, 3]);
  page.formats[3]!.shift = 12;
  page.formats[3]!.performance = 2;
  expect([...page.buffer.bytes.subarray(0, 27)]).toEqual([
    0x12, 0x34, 0x80, 0, 0xde, 0xad, 0xbe, 0xef, 0, 0, 1, 2, 3, 4, 0, 0, 0x41, 0x42, 0x3f, 0x20, 0x20, 0x20, 0x20, 0x20,
    1, 2, 3,
  ]);
  expect([page.blocks, page.serial]).toEqual([0x0102_0304, 'AB?']);
  expect([...page.buffer.bytes.subarray(44, 48)]).toEqual([0, 0, 12, 2]);
});

test('a record over memory that exists', () => {
  const page = HostBuffer.alloc(4096);
  const command = Command.over(page);
  command.cid = 7;
  expect(page.bytes[2]).toBe(7);
  expect(() => Command.over(HostBuffer.alloc(63))).toThrow(RangeError);
});

test('fields that overlap or do not fit are refused', () => {
  expect(() => struct(8, { a: le32(0), b: le16(2) })).toThrow('b and a overlap at byte 2');
  expect(() => struct(8, { a: le8(0).bits(3, 0), b: le8(0).bits(3) })).toThrow('overlap');
  expect(() => struct(8, { a: be16(0).bits(15), b: le8(0).bits(7) })).toThrow('overlap');
  expect(() => struct(8, { a: le64(1) })).toThrow('does not fit');
  expect(() => struct(8, { buffer: le8(0) })).toThrow('cannot be called');
  expect(() => le8(0).bits(8)).toThrow('bits 8:8');
});

test('a mistyped field does not compile', () => {
  const command = new Command();
  // @ts-expect-error no such field
  command.opcod;
  const assign = () => {
    // @ts-expect-error a number
    command.opcode = '2';
  };
  expect(assign).toBeTypeOf('function');
});
