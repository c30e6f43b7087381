import {
  blockCommand,
  encodeSgl,
  type NvmeCommand,
  type NvmeDriver,
  NvmOpcode,
  type QueuePair,
  type Ram,
  type SglDescriptor,
  sglPointer,
} from '@sidecard/testing';
import { expect } from 'vitest';
import { Status } from '../src/status.ts';

/** A Read of `sizeBytes` from block 0 on. */
export function readOf(sizeBytes: number): NvmeCommand {
  return blockCommand(NvmOpcode.read, 1, 0, sizeBytes, { blockBytes: 512 });
}

/** A segment in guest memory; the descriptor that names it. */
export function stored(
  { ram }: { readonly ram: Ram },
  type: number,
  descriptors: readonly SglDescriptor[],
): SglDescriptor {
  const bytes = encodeSgl(descriptors);
  const address = ram.allocate(bytes.length);
  ram.store(address, bytes);
  return { type, address, lengthBytes: bytes.length };
}

/** Status, and the place that the error log has (byte and bit), of a command with this SGL1. */
export async function outcome(
  { driver, queue }: { readonly driver: NvmeDriver; readonly queue: QueuePair },
  command: NvmeCommand,
  sgl1: SglDescriptor,
) {
  const { status, more, doNotRetry } = await driver.submit(queue, { ...command, ...sglPointer(sgl1) });
  if (status === Status.success) return [status];
  expect(more).toBe(true);
  expect(doNotRetry).toBe(status !== Status.dataTransferError);
  const [byte, bit] = (await driver.logPage(1, 64)).subarray(14, 16);
  return [status, byte, bit];
}
