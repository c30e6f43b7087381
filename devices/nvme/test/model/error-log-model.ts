import type { NvmeCompletion } from '@sidecard/testing';
import type { Pending } from './pending.ts';
import { hex, must } from './violation.ts';

/** Entries of the Error Information log (NVMe Base 2.0, 5.16.1.2). */
const entries = 64;

/** What the error log must have: every command whose status says More. */
export class ErrorLogModel {
  readonly #told: { readonly sqid: number; readonly cid: number; readonly status: number }[] = [];
  /** Entries that there may be: failed commands, and events. */
  #most = 0;

  completed({ ring, cid }: Pending, { status, more }: NvmeCompletion): void {
    if (status === 0) {
      must(!more, () => 'a success with More');
      return;
    }
    this.#most++;
    if (more) this.#told.push({ sqid: ring!.id, cid, status });
  }

  /** Something that is no command's, or a command that was lost. */
  may(): void {
    this.#most++;
  }

  /** A page that was asked for when `known` commands had been told. */
  check(page: Uint8Array, known: number, lost: number): void {
    const view = new DataView(page.buffer, page.byteOffset, page.length);
    const there = Array.from({ length: entries }, (_, index) => ({
      count: view.getUint32(64 * index, true),
      sqid: view.getUint16(64 * index + 8, true),
      cid: view.getUint16(64 * index + 10, true),
      status: (view.getUint16(64 * index + 12, true) >>> 1) & 0x7ff,
    })).filter(({ count }) => count !== 0);
    for (const [index, { count }] of there.entries()) {
      must(index === 0 || count === there[index - 1]!.count - 1, () => `error log: entry ${index} has count ${count}`);
    }
    const newest = there[0]?.count ?? 0;
    must(newest >= known && newest <= this.#most + lost, () => `error log: ${newest} entries, not up to ${this.#most}`);
    if (newest > entries) return;
    for (const { sqid, cid, status } of this.#told.slice(0, known)) {
      must(
        there.some((one) => one.sqid === sqid && one.cid === cid && one.status === status),
        () => `error log: nothing of command ${cid} of queue ${sqid}, which ended with ${hex(status)} and More`,
      );
    }
  }

  get known(): number {
    return this.#told.length;
  }
}
