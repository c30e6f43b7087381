import { type BlockBackend, BlockRequest } from './backend.ts';

/** A flush that no guest has asked for. */
export class OwnFlush extends BlockRequest {
  override readonly operation = 'flush';
  readonly #ended: (errno: number) => void;

  /** @param ended is called where `submit` has answered false. */
  constructor(ended: (errno: number) => void = () => {}) {
    super();
    this.#ended = ended;
  }

  done(): void {
    this.#ended(this.error);
  }
}

/** Resolves with 0 or an errno, on a drive that somebody polls. */
export function flushDrive(drive: BlockBackend): Promise<number> {
  return new Promise((resolve) => {
    const flush = new OwnFlush(resolve);
    if (drive.submit(flush)) resolve(flush.error);
    else drive.commit();
  });
}
