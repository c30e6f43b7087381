import { constants as fileConstants } from 'node:fs';
import { isIP } from 'node:net';
import { constants } from 'node:os';
import { FdInfo } from './constants.ts';
import { DescriptorTable, type OpenFile } from './fake/descriptors.ts';
import { FakeEvent } from './fake/event.ts';
import { FakeFile, FakeInode } from './fake/file.ts';
import { MappingTable } from './fake/mappings.ts';
import { Readiness } from './fake/readiness.ts';
import { FakeRing, type RingPolicy } from './fake/ring.ts';
import { FakeListener, FakeStream } from './fake/stream.ts';
import type { Native, Watch } from './native.ts';
import type { RingOptions } from './ring.ts';
import { systemError } from './system-error.ts';

const { EADDRINUSE, EAGAIN, EBADF, ECONNREFUSED, EEXIST, EFAULT, EINVAL, EMSGSIZE, ENOENT, ENOTTY, ENOTSOCK, EPERM } =
  constants.errno;
const { O_CREAT, O_EXCL, O_TRUNC } = fileConstants;

/** What a test may do to the fake world. */
export interface FakeControl extends RingPolicy {
  /** At most so many bytes come with one receive: messages in pieces. */
  receiveLimitBytes: number;
  /** The clock. */
  nowUs: () => number;
  contextSwitches: number;
  cpuCount: number;
  /** Files that open() finds, by path. */
  readonly files: Map<string, FakeInode>;
  /** All rings opened so far. */
  readonly rings: FakeRing[];
}

/**
 * The kernel in memory: a client and a device on one of these are two processes on one machine. It differs where
 * JavaScript does: a file is mapped whole (offset 0, its size) or -EINVAL, all its mappings are one ArrayBuffer that is detached by the last
 * unmap, it does not grow meanwhile, and a cut file counts as faulted at once. Flock never waits. No block devices.
 */
export class FakeNative implements Native {
  readonly control: FakeControl = {
    completion: 'now',
    random: Math.random,
    intercept: null,
    receiveLimitBytes: Number.POSITIVE_INFINITY,
    nowUs: () => performance.now() * 1000,
    contextSwitches: 0,
    cpuCount: 2,
    files: new Map(),
    rings: [],
  };
  readonly #descriptors = new DescriptorTable();
  readonly #mappings = new MappingTable();
  readonly #readiness = new Readiness();
  readonly #listeners = new Map<string, FakeListener>();
  readonly faultCount = this.#mappings.faultCount;
  #inodes = 0;

  /** Open descriptors, for leak tests. */
  get openFds(): number {
    return this.#descriptors.count;
  }

  /** Mappings and pins, for leak tests. */
  get mappings(): number {
    return this.#mappings.count;
  }

  /** Fills an eventfd to the brim, as a hostile client does. */
  saturate(fd: number): void {
    this.#descriptors.as(fd, FakeEvent)?.saturate();
  }

  listen(path: string): number {
    if (this.#listeners.get(path)?.closed === false) throw systemError(-EADDRINUSE, 'listen', path);
    const listener = new FakeListener();
    this.#listeners.set(path, listener);
    return this.#descriptors.add(listener);
  }

  /** Nobody can connect to it here. */
  listenTcp(address: string, port: number): number {
    if (isIP(address) === 0 || !(port >= 0 && port <= 0xffff))
      throw systemError(-EINVAL, 'listen', `${address} port ${port}`);
    return this.listen(`${address} port ${port}`);
  }

  tcpPort(fd: number): number {
    for (const [name, listener] of this.#listeners) {
      if (listener === this.#descriptors.as(fd, FakeListener)) return Number(name.split(' port ')[1]);
    }
    return this.#wrong(fd, ENOTSOCK);
  }

  connect(path: string): number {
    const listener = this.#listeners.get(path);
    if (listener === undefined) throw systemError(-ENOENT, 'connect', path);
    if (listener.closed) throw systemError(-ECONNREFUSED, 'connect', path);
    return this.#changed(this.#descriptors.add(listener.connect()));
  }

  accept(fd: number): number {
    const listener = this.#descriptors.as(fd, FakeListener);
    if (listener === undefined) return this.#wrong(fd, EINVAL);
    const stream = listener.accept();
    return stream === undefined ? -EAGAIN : this.#adopt(stream);
  }

  socketPair(): [number, number] {
    const [a, b] = FakeStream.pair();
    return [this.#descriptors.add(a), this.#descriptors.add(b)];
  }

  receive(fd: number, buffer: Uint8Array, offset: number, length: number, fds: Int32Array, peek = false): number {
    const stream = this.#descriptors.as(fd, FakeStream);
    if (stream === undefined) return this.#wrong(fd, ENOTSOCK);
    if (!inside(buffer, offset, length) || fds.length < 1) return -EINVAL;
    const target = buffer.subarray(offset, offset + Math.min(length, this.control.receiveLimitBytes));
    fds[0] = 0;
    const received = stream.receive(target, peek);
    if (typeof received === 'number') return received;
    const { bytes, files } = received;
    if (files.length > fds.length - 1) {
      for (const file of files) file.release();
      fds[0] = -bytes;
      return -EMSGSIZE;
    }
    fds[0] = files.length;
    files.forEach((file, index) => {
      fds[1 + index] = this.#adopt(file);
    });
    return this.#changed(bytes);
  }

  send(fd: number, buffer: Uint8Array, offset: number, length: number, fds: Int32Array | null): number {
    const stream = this.#descriptors.as(fd, FakeStream);
    if (stream === undefined) return this.#wrong(fd, ENOTSOCK);
    const count = fds?.[0] ?? 0;
    if (!inside(buffer, offset, length) || count < 0 || count > 253 || count >= (fds?.length ?? 1)) return -EINVAL;
    const files = Array.from({ length: count }, (_, index) => this.#descriptors.get(fds![1 + index]!));
    if (files.includes(undefined)) return -EBADF;
    return this.#changed(stream.send(buffer.subarray(offset, offset + length), files as OpenFile[]));
  }

  hangUp(fd: number): number {
    this.#descriptors.as(fd, FakeStream)?.hangUp();
    return this.close(fd);
  }

  isListening(fd: number): number {
    if (this.#descriptors.as(fd, FakeListener)) return 1;
    return this.#descriptors.as(fd, FakeStream) ? 0 : this.#wrong(fd, ENOTSOCK);
  }

  /** Throws when the fd is watched: libuv would lose track of it. */
  close(fd: number): number {
    const file = this.#descriptors.get(fd);
    if (file?.references === 1 && this.#readiness.watches(file)) throw new Error(`fd ${fd} closed while it is watched`);
    return this.#changed(this.#descriptors.close(fd));
  }

  eventfd(): number {
    return this.#descriptors.add(new FakeEvent());
  }

  signal(fd: number): number {
    const event = this.#descriptors.as(fd, FakeEvent);
    return event === undefined ? this.#wrong(fd, EINVAL) : this.#changed(event.signal());
  }

  drain(fd: number): number {
    const event = this.#descriptors.as(fd, FakeEvent);
    return event === undefined ? this.#wrong(fd, EINVAL) : event.drain();
  }

  dup(fd: number): number {
    const file = this.#descriptors.get(fd);
    return file === undefined ? -EBADF : this.#descriptors.add(file);
  }

  fdInfo(fd: number, out: Float64Array): number {
    const file = this.#descriptors.get(fd);
    if (file === undefined) return -EBADF;
    if (out.length < FdInfo.columns) return -EINVAL;
    const inode = file instanceof FakeFile ? file.inode : null;
    out[FdInfo.dev] = 1;
    out[FdInfo.inodeLow] = inode?.number ?? 0;
    out[FdInfo.inodeHigh] = 0;
    out[FdInfo.size] = inode?.sizeBytes ?? 0;
    out[FdInfo.type] = file.type;
    out[FdInfo.seals] = inode?.seals ?? -1;
    out[FdInfo.flags] = file.flags;
    out[FdInfo.blockSize] = 4096;
    return 0;
  }

  setCloexec(fd: number): number {
    return this.#descriptors.get(fd) === undefined ? -EBADF : 0;
  }

  setNonblock(fd: number): number {
    return this.setCloexec(fd);
  }

  flock(fd: number, operation: number): number {
    return this.#descriptors.as(fd, FakeFile)?.flock(operation) ?? -EBADF;
  }

  lockRange(fd: number, type: number, start: number, length: number): number {
    return this.#descriptors.as(fd, FakeFile)?.lockRange(type, start, length) ?? -EBADF;
  }

  testRange(fd: number, type: number, start: number, length: number): number {
    const file = this.#descriptors.as(fd, FakeFile);
    return file === undefined ? -EBADF : Number(file.testRange(type, start, length));
  }

  memfd(_name: string, sizeBytes: number): number {
    return this.#descriptors.add(new FakeFile(new FakeInode(++this.#inodes, sizeBytes, 0), 2));
  }

  seal(fd: number, seals: number): number {
    const inode = this.#descriptors.as(fd, FakeFile)?.inode;
    if (inode === undefined || inode.seals < 0) return this.#wrong(fd, EINVAL);
    if (inode.seals & 1) return -EPERM;
    inode.seals |= seals;
    return 0;
  }

  map(fd: number, offset: number, length: number): ArrayBuffer | number {
    const inode = this.#descriptors.as(fd, FakeFile)?.inode;
    if (inode === undefined) return -EBADF;
    if (offset !== 0 || length === 0 || length !== inode.sizeBytes) return -EINVAL;
    inode.trim();
    return inode.content.byteLength === length ? this.#mappings.map(inode) : -EINVAL;
  }

  unmap(buffer: ArrayBuffer): number {
    return this.#mappings.unmap(buffer);
  }

  mapping(buffer: ArrayBuffer | SharedArrayBuffer): number {
    return this.#mappings.handleOf(buffer);
  }

  pin(buffer: ArrayBuffer | SharedArrayBuffer): number {
    return this.#mappings.pin(buffer);
  }

  unpin(handle: number): number {
    return this.#mappings.unpin(handle);
  }

  faulted(handle: number): number {
    const mapping = this.#mappings.get(handle);
    return mapping === undefined ? -EINVAL : Number(mapping.faulted);
  }

  lockMemory(handle: number): number {
    return this.#mappings.get(handle) === undefined ? -EINVAL : 0;
  }

  copy(targetHandle: number, targetOffset: number, sourceHandle: number, sourceOffset: number, length: number): number {
    const target = this.#mappings.range(targetHandle, targetOffset, length);
    const source = this.#mappings.range(sourceHandle, sourceOffset, length);
    if (target === undefined || source === undefined) return -EFAULT;
    target.set(source);
    return 0;
  }

  open(path: string, flags: number): number {
    let inode = this.control.files.get(path);
    if (inode !== undefined && flags & O_CREAT && flags & O_EXCL) return -EEXIST;
    if (inode === undefined) {
      if (!(flags & O_CREAT)) return -ENOENT;
      inode = new FakeInode(++this.#inodes, 0, -1);
      this.control.files.set(path, inode);
    }
    if (flags & O_TRUNC) inode.truncate(0);
    return this.#descriptors.add(new FakeFile(inode, flags));
  }

  fileSize(fd: number): number {
    return this.#descriptors.as(fd, FakeFile)?.inode.sizeBytes ?? -EBADF;
  }

  blkSectorSize(fd: number): number {
    return this.#wrong(fd, ENOTTY);
  }

  statxDioAlign(fd: number, out: Float64Array): number {
    if (this.#descriptors.as(fd, FakeFile) === undefined) return -EBADF;
    out.fill(512, 0, 2);
    return 0;
  }

  truncate(fd: number, sizeBytes: number): number {
    const inode = this.#descriptors.as(fd, FakeFile)?.inode;
    if (inode === undefined) return this.#wrong(fd, EINVAL);
    const cut = sizeBytes < inode.sizeBytes;
    const result = inode.truncate(sizeBytes);
    if (cut && result === 0) this.#mappings.fault(inode.content);
    return result;
  }

  pread(fd: number, handle: number, offset: number, length: number, position: number): number {
    return this.#transfer(handle, offset, length, (bytes) => this.#descriptors.as(fd, FakeFile)?.read(bytes, position));
  }

  pwrite(fd: number, handle: number, offset: number, length: number, position: number): number {
    return this.#transfer(handle, offset, length, (bytes) =>
      this.#descriptors.as(fd, FakeFile)?.write(bytes, position),
    );
  }

  fallocate(fd: number, mode: number, position: number, length: number): number {
    return this.#descriptors.as(fd, FakeFile)?.fallocate(mode, position, length) ?? -EBADF;
  }

  blkDiscard(fd: number): number {
    return this.#wrong(fd, ENOTTY);
  }

  blkZeroOut(fd: number): number {
    return this.#wrong(fd, ENOTTY);
  }

  fdatasync(fd: number): number {
    return this.#descriptors.as(fd, FakeFile) === undefined ? this.#wrong(fd, EINVAL) : 0;
  }

  openRing(entries: number, options: RingOptions = {}): FakeRing {
    const world = {
      descriptors: this.#descriptors,
      mappings: this.#mappings,
      policy: this.control,
      changed: () => this.#readiness.changed(),
    };
    const ring = new FakeRing(world, new FakeEvent(), entries, options.maxSegments ?? 64);
    this.control.rings.push(ring);
    return ring;
  }

  watch(fd: number, events: 'read' | 'write', callback: (events: number) => void): Watch {
    const file = this.#descriptors.get(fd);
    if (file === undefined) throw systemError(-EBADF, 'watch');
    if (file instanceof FakeFile) throw systemError(-EPERM, 'watch');
    return this.#readiness.watch(file, events, callback);
  }

  contextSwitches(): number {
    return this.control.contextSwitches;
  }

  cpuCount(): number {
    return this.control.cpuCount;
  }

  pinThread(cpu: number): number {
    return cpu >= 0 && cpu < this.control.cpuCount ? 0 : -EINVAL;
  }

  nowUs(): number {
    return this.control.nowUs();
  }

  yieldThread(): number {
    return 0;
  }

  /** A descriptor for a file whose reference is already counted. */
  #adopt(file: OpenFile): number {
    const fd = this.#descriptors.add(file);
    file.release();
    return fd;
  }

  #changed(result: number): number {
    this.#readiness.changed();
    return result;
  }

  #wrong(fd: number, error: number): number {
    return this.#descriptors.get(fd) === undefined ? -EBADF : -error;
  }

  #transfer(handle: number, offset: number, length: number, run: (bytes: Uint8Array) => number | undefined): number {
    const bytes = this.#mappings.range(handle, offset, length);
    return bytes === undefined ? -constants.errno.EFAULT : (run(bytes) ?? -EBADF);
  }
}

function inside(buffer: Uint8Array, offset: number, length: number): boolean {
  return (
    Number.isInteger(offset) &&
    Number.isInteger(length) &&
    offset >= 0 &&
    length > 0 &&
    offset + length <= buffer.length
  );
}
