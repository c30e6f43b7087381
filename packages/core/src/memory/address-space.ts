import type { HostBuffer } from '../bits/host-buffer.ts';
import { type ClientFile, WINDOW_BYTES } from './client-file.ts';
import { ClientFiles } from './client-files.ts';
import { copyBytes } from './copy.ts';
import type { DmaRegion } from './dma-region.ts';
import { DmaTable, NO_FILE, READABLE, WRITABLE } from './dma-table.ts';
import { EEXIST, EINVAL, ENOENT, ENOSPC } from './errno.ts';
import type { MemoryNative } from './memory-native.ts';
import { Place } from './place.ts';

const PAGE = 4096;
/** Guest addresses are Numbers: above this not every byte has one. Regions there are kept, and all DMA to them faults. */
const ADDRESSES = 2 ** 53;
/** Of a row whose unmap somebody waits for. */
const AWAITED = 4;

/** What the client has mapped, where each address is, and what I/O in flight holds. */
export class AddressSpace {
  readonly table: DmaTable;
  readonly files: ClientFiles;
  onDrained: ((iova: number, sizeBytes: number) => void) | null = null;
  generation = 0;
  /** Bytes that the device may write, of regions mapped here and of the others. */
  #mappedBytes = 0;
  #unmappedBytes = 0;
  #busMaster = false;
  readonly #native: MemoryNative;
  readonly #places: Place[] = [];
  readonly #probe = new Place();
  /** Drained rows that are to be reported. */
  readonly #drained: number[] = [];
  readonly #faults: Uint32Array;
  #faultsSeen = 0;
  #anyFaulted = false;

  constructor(native: MemoryNative, maxMaps: number) {
    this.#native = native;
    this.table = new DmaTable(maxMaps);
    this.files = new ClientFiles(native);
    this.#faults = native.faultCount;
    this.#faultsSeen = this.#faults[0]!;
  }

  get busMaster(): boolean {
    return this.#busMaster;
  }

  set busMaster(on: boolean) {
    this.#busMaster = on;
    if (!on) this.#forgetPlaces();
  }

  /**
   * Most of the memory that the device may write is mapped here. ROMs, a video card's memory and the device's own BARs come
   * without a descriptor even from a client that shares its RAM.
   */
  get mapped(): boolean {
    return this.#mappedBytes > this.#unmappedBytes;
  }

  /** A place that is kept from access to access, and forgotten when what it says may hold no more. */
  place(): Place {
    const place = new Place();
    this.#places.push(place);
    return place;
  }

  map(map: DmaRegion): number {
    const error = this.#check(map);
    if (error !== 0) {
      if (map.fd >= 0) this.#native.close(map.fd);
      return error;
    }
    let file = NO_FILE;
    if (map.fd >= 0) {
      file = this.files.acquire(map.fd, map.offset, map.sizeBytes, map.writable);
      if (file < NO_FILE) return -file;
    }
    const flags = (map.readable ? READABLE : 0) | (map.writable ? WRITABLE : 0);
    const row = this.table.insert(map.iova, map.sizeBytes, file, map.offset, flags);
    this.#count(row, 1);
    this.generation++;
    return 0;
  }

  unmap(iova: number, sizeBytes: number): 'done' | 'draining' | number {
    const row = this.table.find(iova);
    if (row < 0) return sizeBytes > 0 && this.table.overlaps(iova, sizeBytes) ? EINVAL : ENOENT;
    if (this.table.iova(row) !== iova || this.table.sizeBytes(row) !== sizeBytes) return EINVAL;
    return this.#remove(row, AWAITED);
  }

  /** Every region, whether somebody waits for the pinned ones or not. */
  unmapAll(awaited: boolean): 'done' | 'draining' {
    while (this.table.count > 0) this.#remove(this.table.rowAt(this.table.count - 1), awaited ? AWAITED : 0);
    if (!awaited) this.#awaitNone();
    return this.table.draining === 0 ? 'done' : 'draining';
  }

  pin(row: number): void {
    this.table.pin(row, 1);
  }

  unpin(row: number): void {
    if (this.table.pin(row, -1) > 0 || this.table.has(row)) return;
    this.#releaseFile(row);
    if (this.table.flags(row) & AWAITED) this.#drained.push(row);
    else this.table.free(row);
  }

  /** Finds the region of `iova` with permission `need`: `place` says where its stretch is, and of what kind. */
  locate(iova: number, need: number, place: Place): void {
    const table = this.table;
    const row = this.#busMaster && iova >= 0 && iova < ADDRESSES ? table.find(iova) : -1;
    const file = row < 0 ? null : this.files.get(table.file(row));
    if (file === null || !file.mappable || file.faulted || (table.flags(row) & need) === 0) {
      this.#locateElsewhere(iova, row, need, file, place);
      return;
    }
    const distance = iova - table.iova(row);
    const offset = table.fileOffset(row) + distance;
    const number = (offset * (1 / WINDOW_BYTES)) | 0;
    const inWindow = offset - number * WINDOW_BYTES;
    const window = file.windows[number] ?? file.window(number);
    if (window === undefined) {
      this.#locateElsewhere(iova, row, need, file, place);
      return;
    }
    // The whole stretch of the region in this window, so that the place serves any access in it.
    const before = Math.min(distance, inWindow);
    const after = table.sizeBytes(row) - distance;
    const room = WINDOW_BYTES - inWindow;
    const end = iova + Math.min(after, room);
    place.kind = 'mapped';
    place.row = row;
    place.start = iova - before;
    place.end = Math.min(end, ADDRESSES);
    place.limit = place.end;
    place.base = inWindow - before;
    place.window = window.memory;
    place.handle = window.handle;
  }

  #locateElsewhere(iova: number, row: number, need: number, file: ClientFile | null, place: Place): void {
    place.forget();
    if (row < 0 || (this.table.flags(row) & need) === 0 || file?.faulted === true) return;
    const start = this.table.iova(row);
    place.row = row;
    place.limit = Math.min(start + this.table.sizeBytes(row), ADDRESSES);
    place.kind = file === null ? 'message' : 'file';
    place.base = this.table.fileOffset(row) + (iova - start);
  }

  /** Whether all of [iova, iova + lengthBytes) is there with permission `need`. */
  covers(iova: number, lengthBytes: number, need: number): boolean {
    const place = this.#probe;
    for (let at = iova; at < iova + lengthBytes; at = place.limit) {
      this.locate(at, need, place);
      if (place.kind === 'absent') return false;
    }
    return true;
  }

  /** Copies between `area` and the front of a place that was located with `iova`. False: a fault. */
  copy(
    iova: number,
    place: Place,
    toGuest: boolean,
    area: HostBuffer,
    areaOffset: number,
    lengthBytes: number,
  ): boolean {
    if (place.kind === 'mapped') {
      const at = place.base + (iova - place.start);
      if (toGuest) copyBytes(area, areaOffset, place.window, at, lengthBytes);
      else copyBytes(place.window, at, area, areaOffset, lengthBytes);
      return !this.faulted(place.row);
    }
    const fd = this.files.get(this.table.file(place.row))!.fd;
    const access = this.files.access;
    return toGuest
      ? access.store(fd, place.base, area, areaOffset, lengthBytes)
      : access.load(fd, place.base, area, areaOffset, lengthBytes);
  }

  /** True when the file of a mapped row has turned out to be cut: asked after its mapping was used. */
  faulted(row: number): boolean {
    if (this.#faults[0] === this.#faultsSeen && !this.#anyFaulted) return false;
    return this.#checkFaults(row);
  }

  #checkFaults(row: number): boolean {
    if (this.#faults[0] !== this.#faultsSeen) {
      this.#faultsSeen = this.#faults[0]!;
      this.#anyFaulted = this.files.checkFaults();
      this.#forgetPlaces();
      this.generation++;
    }
    const file = this.table.file(row);
    return this.files.get(file)?.faulted === true;
  }

  /** Reports drained unmaps, and closes files that requests in flight still held. */
  poll(): boolean {
    let worked = this.files.closing > 0 && this.files.closeReleased();
    while (this.#drained.length > 0) {
      const row = this.#drained.shift()!;
      this.table.free(row);
      this.onDrained?.(this.table.iova(row), this.table.sizeBytes(row));
      worked = true;
    }
    return worked;
  }

  get idle(): boolean {
    return this.#drained.length === 0;
  }

  #check(map: DmaRegion): number {
    const { iova, sizeBytes, offset } = map;
    if (!(sizeBytes > 0) || !(iova >= 0) || !(offset >= 0)) return EINVAL;
    // Doubles are exact for multiples of a page up to 2^65.
    if (iova % PAGE !== 0 || sizeBytes % PAGE !== 0 || iova + sizeBytes > 2 ** 64) return EINVAL;
    if (map.fd >= 0 && (offset % PAGE !== 0 || offset + sizeBytes > ADDRESSES)) return EINVAL;
    if (!map.readable && !map.writable) return EINVAL;
    if (this.table.overlaps(iova, sizeBytes)) return EEXIST;
    return this.table.count === this.table.maxRows ? ENOSPC : 0;
  }

  #remove(row: number, awaited: number): 'done' | 'draining' {
    this.#count(row, -1);
    this.table.remove(row);
    this.generation++;
    this.#forgetPlaces();
    if (this.table.pins(row) > 0) {
      this.table.setFlags(row, this.table.flags(row) | awaited);
      return 'draining';
    }
    this.#releaseFile(row);
    this.table.free(row);
    return 'done';
  }

  #releaseFile(row: number): void {
    const file = this.table.file(row);
    if (file !== NO_FILE) this.files.release(file);
  }

  #awaitNone(): void {
    for (const row of this.#drained.splice(0)) this.table.free(row);
    for (let row = 0; row < this.table.capacity; row++) this.table.setFlags(row, this.table.flags(row) & ~AWAITED);
  }

  #count(row: number, sign: number): void {
    if ((this.table.flags(row) & WRITABLE) === 0) return;
    const file = this.table.file(row);
    const bytes = sign * this.table.sizeBytes(row);
    if (this.files.get(file)?.mappable === true) this.#mappedBytes += bytes;
    else this.#unmappedBytes += bytes;
  }

  #forgetPlaces(): void {
    for (let i = 0; i < this.#places.length; i++) this.#places[i]!.forget();
  }
}
