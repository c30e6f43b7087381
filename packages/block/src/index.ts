export * from './backend.ts';
export * from './drive.ts';
export { parseDrive } from './drive-options.ts';
export { DurableFile } from './durable-file.ts';
export { FileBackend, type FileBackendOptions } from './file-backend.ts';
export { checkDistinct, openDrive, openDrives } from './open-drive.ts';
export { RangeHolds } from './range-holds.ts';
export { RangeLocks } from './range-locks.ts';
export { formatSize, parseSize } from './size.ts';
