import { type BlockBackend, BlockRequest } from '@sidecard/block';
import type { Host } from '@sidecard/core';

/** What is zeroed at a time, bytes: nobody waits longer for the drive than this takes. Vast drives are mostly holes, and have larger pieces. */
const pieceBytes = 64 * 1024 * 1024;
const mostPieceBytes = 1024 * 1024 * 1024;
const mostPieces = 4096;

/** What an erasure ends with when it was stopped (ECANCELED of Linux). */
export const stopped = 125;

/**
 * Zeroes a drive from end to end, piece by piece while others have their turns, and makes that durable. What held data is given back or zeroed as the
 * drive can; one that may not give anything back is thereby reserved.
 */
export class Erasure extends BlockRequest {
  readonly #host: Host;
  readonly #backend: BlockBackend;
  readonly #work: { readonly stopping: boolean };
  readonly #next = () => this.#step();
  #doneBytes = 0;
  #resolve: (error: number) => void = () => {};

  /** @param work ends it before its time. */
  constructor(host: Host, backend: BlockBackend, work: { readonly stopping: boolean }) {
    super();
    this.#host = host;
    this.#backend = backend;
    this.#work = work;
    this.mayDeallocate = true;
  }

  /** Percent of it that is left, at least 1. */
  get remaining(): number {
    const { sizeBytes } = this.#backend.geometry;
    return Math.max(1, Math.min(100, Math.ceil(100 * (1 - this.#doneBytes / sizeBytes))));
  }

  /** Resolves with 0, an errno, or `stopped`. The drive is one that the reactor polls. */
  run(): Promise<number> {
    return new Promise((resolve) => {
      this.#resolve = resolve;
      this.operation = 'writeZeroes';
      this.lengthBytes = 0;
      this.#host.defer(this.#next);
    });
  }

  done(): void {
    this.#host.defer(this.#next);
  }

  #step(): void {
    if (this.error !== 0 || this.operation === 'flush') {
      this.#resolve(this.error);
      return;
    }
    this.#doneBytes += this.lengthBytes;
    if (this.#work.stopping) {
      this.#resolve(stopped);
      return;
    }
    const { sizeBytes } = this.#backend.geometry;
    const piece = Math.ceil(sizeBytes / mostPieces / pieceBytes) * pieceBytes;
    const most = Math.min(mostPieceBytes, Math.max(pieceBytes, piece));
    this.offset = this.#doneBytes;
    this.lengthBytes = Math.max(0, Math.min(most, sizeBytes - this.#doneBytes));
    if (this.lengthBytes === 0) {
      this.operation = 'flush';
      this.offset = 0;
    }
    if (this.#backend.submit(this)) this.#host.defer(this.#next);
    else this.#backend.commit();
  }
}
