import { constants } from 'node:os';
import { FileType } from '../constants.ts';
import { OpenFile } from './descriptors.ts';

/** The kernel's limit is 2**64 - 2; as a double it is 2**64, which is as full. */
const full = 2 ** 64;

export class FakeEvent extends OpenFile {
  readonly type = FileType.anonymous;
  counter = 0;

  override get readable(): boolean {
    return this.counter > 0;
  }

  override get writable(): boolean {
    return this.counter < full;
  }

  saturate(): void {
    this.counter = full;
  }

  signal(): number {
    if (!this.writable) return -constants.errno.EAGAIN;
    this.counter++;
    return 0;
  }

  drain(): number {
    const { counter } = this;
    this.counter = 0;
    return counter;
  }
}
