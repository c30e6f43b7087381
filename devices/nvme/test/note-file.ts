import { setTimeout } from 'node:timers/promises';
import { DurableFile } from '@sidecard/block';

/** A file beside a drive that a test looks into, slows down and breaks. */
export class NoteFile extends DurableFile {
  text: string | null = null;
  failing = false;
  /** Changes that are under way wait until this is false. */
  stalled = false;
  replaced = 0;

  constructor() {
    super('disk.img.nvme.json');
  }

  /** What the marks on blocks are, as begin and end in bytes. */
  get marks(): unknown {
    return this.text === null ? undefined : JSON.parse(this.text).uncorrectable;
  }

  override load(): string | null {
    return this.text;
  }

  override async replace(text: string): Promise<void> {
    do await setTimeout(1);
    while (this.stalled);
    this.replaced++;
    if (this.failing) throw new Error('disk.img.nvme.json: EIO');
    this.text = text;
  }
}
