import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readFileSync,
  readSync,
  realpathSync,
  rmSync,
  type Stats,
  statSync,
} from 'node:fs';
import { FdInfo, type Native } from '@sidecard/native';
import { DriveError, type DriveHost, type DriveOptions } from './drive.ts';
import { EINVAL, errnoText } from './errno.ts';
import { fence, type LockResult, lockImage } from './image-lock.ts';
import { formatSize } from './size.ts';

/** An image or block device, opened and locked. */
export interface ImageFile {
  readonly fd: number;
  /** Absolute, and the same by whatever link it was opened. */
  readonly path: string;
  readonly blockDevice: boolean;
  /** What the guest gets: whole logical blocks. */
  readonly sizeBytes: number;
  /** What sizes are multiples of, bytes. */
  readonly unitBytes: number;
  /** Block of the file system, bytes. */
  readonly blockBytes: number;
  /** O_DIRECT: alignment of positions and lengths, and of memory; 1 without. */
  readonly directBytes: number;
  readonly directMemoryBytes: number;
}

/** The size of a file or device that is so large, as the drive has it. */
export function usableBytes(fileBytes: number, image: Pick<ImageFile, 'unitBytes'>): number {
  return fileBytes - (fileBytes % image.unitBytes);
}

/** Opens the drive's file, or creates it. Throws DriveError with the path and the reason. */
export function openImage(options: DriveOptions, host: DriveHost): ImageFile {
  const { path } = options;
  const before = lookAt(options);
  const created = before === null;
  const direct = options.cache === 'none' ? constants.O_DIRECT : 0;
  const access = options.readOnly ? constants.O_RDONLY : constants.O_RDWR;
  const create = created ? constants.O_CREAT | constants.O_EXCL : 0;
  const fd = host.native.open(path, access | direct | create, 0o600);
  if (fd < 0) {
    if (direct !== 0 && fd === -EINVAL) throw failure(path, 'its file system has no O_DIRECT (cache=none)');
    throw failure(path, errnoText(-fd), -fd);
  }
  try {
    lock(options, host, fd);
    if (created) grow(host.native, fd, options);
    const image = measure(options, host, fd);
    warnOfFormat(host, options, image);
    if (created) host.created?.(path);
    return image;
  } catch (error) {
    host.native.close(fd);
    if (created) rmSync(path, { force: true });
    throw error;
  }
}

/** Null where there is no file and one is to be made. */
function lookAt(options: DriveOptions): Stats | null {
  const { path, sizeBytes, readOnly } = options;
  let stats: Stats | undefined;
  try {
    stats = statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    throw failure(path, reason(error));
  }
  if (stats === undefined) {
    if (readOnly) throw failure(path, 'no such file');
    if (sizeBytes === null) throw failure(path, 'no such file (with size= it is created)');
    return null;
  }
  if (stats.isDirectory()) throw failure(path, 'is a directory');
  if (!stats.isFile() && !stats.isBlockDevice()) throw failure(path, 'is neither a file nor a block device');
  return stats;
}

function lock(options: DriveOptions, host: DriveHost, fd: number): void {
  const results: [LockResult, LockResult] = [
    lockImage(host.native, fd, options.readOnly),
    fence(host.native, fd, options.readOnly),
  ];
  if (results.includes('in use')) throw failure(options.path, 'is in use by another process');
  if (results.includes('unsupported')) {
    host.log.warn({ drive: options.path }, 'the file system has no locks: nothing keeps others from this drive');
  }
}

function grow(native: Native, fd: number, options: DriveOptions): void {
  const result = native.truncate(fd, options.sizeBytes!);
  if (result < 0) throw failure(options.path, errnoText(-result), -result);
}

function measure(options: DriveOptions, host: DriveHost, fd: number): ImageFile {
  const { path } = options;
  // A device that shows larger blocks, because a guest has chosen so, leaves out what is over by itself.
  const lba = options.lba ?? 512;
  const fileBytes = host.native.fileSize(fd);
  if (fileBytes < 0) throw failure(path, errnoText(-fileBytes));
  if (options.sizeBytes !== null && options.sizeBytes !== fileBytes) {
    throw failure(
      path,
      `is ${formatSize(fileBytes)} large, not ${formatSize(options.sizeBytes)} (leave size= out to take it as it is)`,
    );
  }
  if (fileBytes < lba) throw failure(path, `is smaller than a block of ${lba} bytes`);
  const sizeBytes = fileBytes - (fileBytes % lba);
  if (sizeBytes !== fileBytes) {
    host.log.warn(
      { drive: path, bytes: fileBytes - sizeBytes },
      'the last bytes are no whole block: the guest does not see them',
    );
  }
  const info = new Float64Array(FdInfo.columns);
  host.native.fdInfo(fd, info);
  const stats = fstatSync(fd);
  const blockDevice = stats.isBlockDevice();
  if (blockDevice && !options.readOnly && isReadOnly(stats.rdev)) {
    throw failure(path, 'is a read-only device (readonly= takes it as that)');
  }
  const sector = blockDevice ? host.native.blkSectorSize(fd) : 1;
  if (sector > lba) throw failure(path, `has blocks of ${sector} bytes: use lba=4096`);
  const [directMemoryBytes, directBytes] = options.cache === 'none' ? directAlignment(host.native, fd) : [1, 1];
  if (sizeBytes % directBytes !== 0) {
    throw failure(path, `is no multiple of ${directBytes} bytes, as cache=none needs on its file system`);
  }
  const blockBytes = Math.max(info[FdInfo.blockSize]!, sector);
  const unitBytes = Math.max(lba, directBytes);
  return {
    fd,
    path: realpathSync(path),
    blockDevice,
    sizeBytes,
    unitBytes,
    blockBytes,
    directBytes,
    directMemoryBytes,
  };
}

/** Linux opens a device that is read-only for writing too, and refuses the writes. */
function isReadOnly(rdev: number): boolean {
  // As gnu_dev_major and gnu_dev_minor, of a number that has no more than 32 bits here.
  const major = (rdev >>> 8) & 0xfff;
  const minor = (rdev & 0xff) | ((rdev >>> 12) & 0xfff00);
  try {
    return readFileSync(`/sys/dev/block/${major}:${minor}/ro`, 'utf8').trim() === '1';
  } catch {
    return false;
  }
}

/** Memory and file alignment for O_DIRECT. Kernels before 6.1 don't say: a page is enough for all. */
function directAlignment(native: Native, fd: number): [number, number] {
  const out = new Float64Array(2);
  return native.statxDioAlign(fd, out) < 0 ? [4096, 4096] : [out[0]!, out[1]!];
}

/** Only raw images are drives here, and a formatted one that is taken for raw is soon no image at all. */
function warnOfFormat(host: DriveHost, options: DriveOptions, image: ImageFile): void {
  if (image.blockDevice) return;
  try {
    const fd = openSync(options.path, 'r');
    const magic = Buffer.alloc(4);
    readSync(fd, magic, 0, 4, 0);
    closeSync(fd);
    if (magic.toString('latin1') === 'QFI\xfb')
      host.log.warn({ drive: options.path }, 'looks like qcow2, and is used as a raw image');
  } catch {
    // A look, no more.
  }
}

function reason(error: unknown): string {
  const { errno } = error as { errno?: number };
  return errno === undefined ? String(error) : errnoText(Math.abs(errno));
}

function failure(path: string, why: string, errno = 0): DriveError {
  return new DriveError('failure', `drive ${path}: ${why}`, errno);
}
