import { HostBuffer, type Log, Segments } from '@sidecard/core';
import type { Native } from '@sidecard/native';
import { VirtualClock } from '@sidecard/testing';
import { type BlockBackend, type BlockOperation, BlockRequest, type DriveHost, type RangeHold } from '../src/index.ts';

export interface LogLine {
  readonly level: string;
  readonly message: string;
}

/** What a drive wants of its process, and what it has logged. */
export function testHost(native: Native): DriveHost & { readonly lines: LogLine[]; readonly clock: VirtualClock } {
  const lines: LogLine[] = [];
  const at = (level: string) => (_fields: object, message: string) => void lines.push({ level, message });
  const log: Log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
  return { native, log, clock: new VirtualClock(), machineId: 'test machine', lines };
}

/** Memory for requests, as guest memory would be: a mapping that the native side knows. */
export class DeviceMemory {
  readonly memory: HostBuffer;
  readonly handle: number;
  readonly #native: Native;
  readonly #fd: number;

  constructor(native: Native, sizeBytes = 4 * 1024 * 1024) {
    this.#native = native;
    this.#fd = native.memfd('device memory', sizeBytes);
    this.memory = new HostBuffer(native.map(this.#fd, 0, sizeBytes, true) as ArrayBuffer);
    this.handle = native.mapping(this.memory.buffer);
  }

  /** Pieces of this memory: offset and length, in turns. */
  segments(...pieces: number[]): Segments {
    const segments = new Segments(Math.max(1, pieces.length / 2));
    for (let i = 0; i < pieces.length; i += 2) segments.add(this.memory, this.handle, pieces[i]!, pieces[i + 1]!);
    return segments;
  }

  close(): void {
    this.#native.unmap(this.memory.buffer);
    this.#native.close(this.#fd);
  }
}

export class TestRequest extends BlockRequest {
  ended = 0;
  onDone: (() => void) | null = null;

  done(): void {
    this.ended++;
    this.onDone?.();
  }
}

export interface Details {
  readonly fua?: boolean;
  readonly mayDeallocate?: boolean;
  readonly under?: RangeHold;
}

/** Submits a request without waiting for it. */
export function start(
  drive: BlockBackend,
  operation: BlockOperation,
  offset = 0,
  data: Segments | number = 0,
  details: Details = {},
): TestRequest {
  const request = new TestRequest();
  request.operation = operation;
  request.offset = offset;
  request.segments = typeof data === 'number' ? null : data;
  request.lengthBytes = typeof data === 'number' ? data : data.lengthBytes;
  request.fua = details.fua ?? false;
  request.mayDeallocate = details.mayDeallocate ?? false;
  request.under = details.under ?? null;
  if (drive.submit(request)) request.done();
  return request;
}

/** Turns the drive until the requests have ended; their errors. */
export async function ended(drive: BlockBackend, ...requests: TestRequest[]): Promise<number[]> {
  drive.commit();
  for (const end = Date.now() + 10_000; requests.some((request) => request.ended === 0); ) {
    if (Date.now() > end) throw new Error('a request does not end');
    if (!drive.poll()) await new Promise((resolve) => setImmediate(resolve));
  }
  return requests.map((request) => request.error);
}

/** A request from start to end; its error. */
export async function run(
  drive: BlockBackend,
  ...rest: [BlockOperation, number?, (Segments | number)?, Details?]
): Promise<number> {
  const [error] = await ended(drive, start(drive, ...rest));
  return error!;
}
