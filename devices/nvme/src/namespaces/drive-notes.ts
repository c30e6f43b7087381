import type { BlockBackend } from '@sidecard/block';

/** After the name of the image: `disk.img.nvme.json`. */
const suffix = '.nvme.json';
const version = 1;

/** What is kept of a namespace besides its blocks. What is undefined is not there. */
export interface Notes {
  /** Logical block size that Format NVM has chosen, bytes. */
  readonly lbaBytes?: 512 | 4096 | undefined;
  /** A Format NVM under way, and the block size that it is to: an intent, which a start that finds it fulfils. */
  readonly formatting?: 512 | 4096 | undefined;
  /** What Write Uncorrectable has marked: begin and end of each range, bytes. */
  readonly uncorrectable?: readonly (readonly [number, number])[] | undefined;
}

/** The notes of one namespace: a small file beside its image, replaced whole and durably; where nothing lasts beside it they are gone with the process. */
export class DriveNotes {
  /** As of the last change that is durable. */
  content: Notes;
  readonly #save: ((content: Notes) => Promise<void>) | null;
  #last: Promise<void> = Promise.resolve();

  /** @param save makes them durable; rejects with an Error of one line, and the old ones still there. */
  constructor(content: Notes, save: ((content: Notes) => Promise<void>) | null) {
    this.content = content;
    this.#save = save;
  }

  /** Those beside an image. @throws Error, one line, where they cannot be read. */
  static beside(backend: BlockBackend): DriveNotes {
    const file = backend.beside(suffix);
    if (file === null) return new DriveNotes({}, null);
    const text = file.load();
    const content = text === null ? {} : parseNotes(text, file.path);
    return new DriveNotes(content, (next) => file.replace(`${JSON.stringify({ version, ...next }, null, 2)}\n`));
  }

  /** Whether there can be any that last. */
  static last(backend: BlockBackend): boolean {
    return backend.beside(suffix) !== null;
  }

  /** Changes some of them, one change after the other: durable once resolved. Rejects as `save`, with nothing changed. */
  change(changes: Notes): Promise<void> {
    const next = this.#last.then(async () => {
      const content = { ...this.content, ...changes };
      try {
        await this.#save?.(content);
      } catch (error) {
        // It may be there already, and only not for certain: an intent that is said to have failed must not be fulfilled at the next start.
        await this.#save?.(this.content).catch(() => {});
        throw error;
      }
      this.content = content;
    });
    this.#last = next.catch(() => {});
    return next;
  }
}

function parseNotes(text: string, path: string): Notes {
  let found: unknown;
  try {
    found = JSON.parse(text);
  } catch {
    throw new Error(`${path}: is no JSON`);
  }
  const { version: foundVersion, ...content } = Object(found);
  if (foundVersion !== version) throw new Error(`${path}: is not of version ${version}`);
  const wrong = wrongNote(content);
  if (wrong !== null) throw new Error(`${path}: ${wrong} is not what it can be`);
  return content;
}

/** The name of a note that cannot be, or null. */
export function wrongNote(content: Notes): keyof Notes | null {
  for (const name of ['lbaBytes', 'formatting'] as const) {
    const value = content[name];
    if (value !== undefined && value !== 512 && value !== 4096) return name;
  }
  const { uncorrectable = [] } = content;
  return Array.isArray(uncorrectable) && uncorrectable.every(isRange) ? null : 'uncorrectable';
}

function isRange(range: unknown): boolean {
  if (!Array.isArray(range) || range.length !== 2 || !range.every(Number.isSafeInteger)) return false;
  return range[0] >= 0 && range[0] < range[1];
}
