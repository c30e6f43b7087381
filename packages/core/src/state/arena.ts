import { HostBuffer } from '../bits/host-buffer.ts';
import type { Declaration } from '../bits/register.ts';
import type { RegisterMap } from '../bits/register-map.ts';
import type { Struct, StructFields, StructRecord } from '../bits/struct.ts';
import { type ColumnArray, type ColumnArrays, type Columns, columnArrays, placeColumns } from './columns.ts';
import { describeRegisters, describeStruct } from './describe.ts';
import { Directory, type DirectoryEntry } from './directory.ts';
import { UndoLog } from './undo-log.ts';

const magic = 0x52444353; // "SCDR"
/** Of the arena's own format; the layout of what is in it is in its directory. */
const formatVersion = 1;
const word = { magic: 0, version: 1, log: 2, directory: 3 } as const;
const headerBytes = 64;
const alignmentBytes = 64;

/**
 * All state of a device that its guest could notice, in one memory object that outlives the process (state.md). Names
 * are paths ('nvme/cq/3'); asking for a name again, with the same layout, gives the same bytes.
 *
 * From the start: header, undo log, directory, then the entries. Nothing is ever freed: size tables for the maximum.
 */
export class StateArena {
  readonly buffer: ArrayBuffer;
  /** True when there was state in the buffer already: of a predecessor. */
  readonly inherited: boolean;
  readonly #log: UndoLog;
  readonly #directory: Directory;
  #depth = 0;
  #failed = false;

  /** An arena in plain memory, for tests and tools. */
  static alloc(sizeBytes = 1 << 20): StateArena {
    return new StateArena(new ArrayBuffer(sizeBytes));
  }

  /**
   * Over memory that is all zeroes, or an arena already: then the turn in which its process died is rolled back.
   * @throws when it is neither, or smaller than 64 KiB.
   */
  constructor(buffer: ArrayBuffer) {
    if (buffer.byteLength < 65536) throw new Error(`an arena of ${buffer.byteLength} bytes`);
    this.buffer = buffer;
    const logBytes = Math.min(buffer.byteLength >>> 4, 1 << 18) & ~63;
    const directoryBytes = Math.min(buffer.byteLength >>> 3, 1 << 20) & ~63;
    const words = new Int32Array(buffer, 0, headerBytes / 4);
    this.inherited = words[word.magic] === magic;
    if (this.inherited && words[word.version] !== formatVersion) {
      throw new Error(`an arena of format ${words[word.version]}, and this process knows ${formatVersion}`);
    }
    if (!this.inherited && words.some((value) => value !== 0)) throw new Error('the memory is no arena');
    this.#log = new UndoLog(buffer, word.log, headerBytes, logBytes);
    const directoryStart = headerBytes + logBytes;
    const entriesStart = directoryStart + directoryBytes;
    this.#directory = new Directory(buffer, word.directory, directoryStart, directoryBytes, entriesStart);
    words[word.version] = formatVersion;
    Atomics.store(words, word.magic, magic);
    this.recover();
  }

  /** What is in the arena, in the order it was added. */
  get entries(): Iterable<DirectoryEntry> {
    return this.#directory.entries;
  }

  /** Raw bytes; zeroes when new. @throws when the name is there with another layout, or the arena is full. */
  bytes(name: string, sizeBytes: number, unit?: string): HostBuffer {
    return this.#piece(name, 'bytes', sizeBytes, { unit });
  }

  /** Bytes for `map.create(bytes, hooks)`; with the reset values when new. Guest and device stores go through the undo log of an open turn. */
  registers<D extends Declaration>(name: string, map: RegisterMap<D>): HostBuffer {
    return this.#piece(name, 'registers', map.sizeBytes, describeRegisters(map.declaration), map.resetBytes);
  }

  /** One record; its stores go through the undo log of an open turn. */
  record<F extends StructFields>(name: string, struct: Struct<F>): StructRecord<F> {
    return struct.over(
      this.#piece(name, 'records', struct.sizeBytes, { count: 1, fields: describeStruct(struct.fields) }),
    );
  }

  records<F extends StructFields>(name: string, struct: Struct<F>, count: number): readonly StructRecord<F>[] {
    const { sizeBytes } = struct;
    const piece = this.#piece(name, 'records', sizeBytes * count, { count, fields: describeStruct(struct.fields) });
    return Array.from({ length: count }, (_, i) => struct.over(piece.slice(i * sizeBytes, sizeBytes)));
  }

  /** A typed array of `count` rows for each column. No log: one store of an element is one change. */
  table<C extends Columns>(name: string, columns: C, count: number): ColumnArrays<C> {
    const { places, sizeBytes } = placeColumns(columns, count);
    const piece = this.#piece(name, 'table', sizeBytes, places);
    return columnArrays(columns, count, this.buffer, piece.byteOffset);
  }

  /**
   * Runs `body` as a transaction: all of its stores to records, register files and what was touched survive, or none. Inside of
   * another it is a part of that. When it throws, all is rolled back as far as the outermost turn.
   */
  turn(body: () => void): void {
    this.begin();
    try {
      body();
    } catch (error) {
      this.#failed = true;
      throw error;
    } finally {
      this.end();
    }
  }

  /** Opens a turn, or enters the open one deeper; for hot paths, where `turn` would cost a closure. Each needs its `end`. */
  begin(): void {
    if (this.#depth++ === 0) {
      this.#failed = false;
      this.#log.begin();
    }
  }

  /** Has the open turn rolled back when it ends. */
  abandon(): void {
    this.#failed = true;
  }

  /** Leaves a turn; leaving the outermost commits it by one store. */
  end(): void {
    if (this.#depth === 0) throw new Error('no turn is open');
    if (--this.#depth > 0) return;
    if (this.#failed) this.#log.undo();
    else this.#log.commit();
  }

  /** Keeps bytes as they are, if a turn is open: before stores that go past records and register files. */
  touch(piece: HostBuffer, offset: number, lengthBytes: number): void {
    if (piece.buffer !== this.buffer) throw new Error('the piece is not of this arena');
    if (this.#log.open) this.#log.touch(piece.byteOffset + offset, lengthBytes);
  }

  /** As `touch`, for an element of a table. */
  touchRow(column: ColumnArray, row: number): void {
    const { BYTES_PER_ELEMENT } = column;
    if (column.buffer !== this.buffer) throw new Error('the column is not of this arena');
    if (this.#log.open) this.#log.touch(column.byteOffset + row * BYTES_PER_ELEMENT, BYTES_PER_ELEMENT);
  }

  /** Rolls back a turn that was left open by a process that died. True when there was one. */
  recover(): boolean {
    this.#depth = 0;
    return this.#log.undo();
  }

  #piece(
    name: string,
    kind: DirectoryEntry['kind'],
    sizeBytes: number,
    layout: unknown,
    initial?: Uint8Array,
  ): HostBuffer {
    const known = this.#directory.find(name);
    if (known !== undefined) {
      const same = known.kind === kind && known.sizeBytes === sizeBytes;
      if (!same || JSON.stringify(known.layout) !== JSON.stringify(layout)) {
        throw new Error(`${name} is in the arena with another layout`);
      }
      return new HostBuffer(this.buffer, known.offset, sizeBytes, this.#log);
    }
    const offset = Math.ceil(this.#directory.endBytes / alignmentBytes) * alignmentBytes;
    if (!Number.isInteger(sizeBytes) || sizeBytes < 0) throw new Error(`${name} of ${sizeBytes} bytes`);
    if (offset + sizeBytes > this.buffer.byteLength) throw new Error(`the arena is full at ${name}`);
    const piece = new HostBuffer(this.buffer, offset, sizeBytes, this.#log);
    // A process that died in here may have left something; it counts from the directory's mark on.
    piece.bytes.fill(0);
    if (initial !== undefined) piece.bytes.set(initial);
    this.#directory.add({ name, kind, offset, sizeBytes, layout });
    return piece;
  }
}
