import { randomUUID } from 'node:crypto';
import { type BlockBackend, DurableFile, fileIdentity } from '@sidecard/block';
import type { Log } from '@sidecard/core';
import { randomIdentity } from '../identity.ts';
import { DriveNotes, type Notes } from './drive-notes.ts';
import type { LbaBytes } from './lba-formats.ts';
import type { NamespaceOptions } from './namespace.ts';
import type { KeptNamespace } from './namespaces.ts';
import type { PoolFolder } from './pool-folder.ts';
import { formatTable, type PoolEntry, parseTable } from './pool-table.ts';

/** A namespace that is to be made. */
export interface NewNamespace {
  readonly nsid: number;
  readonly sizeBytes: number;
  readonly lbaBytes: LbaBytes;
}

/**
 * Room for namespaces that the guest makes: a folder with a file for each, and a table of them which is replaced durably before anything is answered. Its
 * intents make every step one that a start can go on from (storage.md, NVMe namespaces).
 */
export class Pool {
  readonly sizeBytes: number;
  readonly folder: PoolFolder;
  readonly #log: Log;
  readonly #table: DurableFile;
  /** As the table has them. */
  #entries: readonly PoolEntry[];
  #last: Promise<void> = Promise.resolve();

  /** Sweeps what intents left behind. @throws Error, one line, when the table and the files are not what they can be. */
  constructor(folder: PoolFolder, sizeBytes: number, log: Log) {
    this.folder = folder;
    this.sizeBytes = sizeBytes;
    this.#log = log;
    this.#table = new DurableFile(folder.tablePath);
    const text = this.#table.load();
    const files = folder.files();
    if (text === null && files.length > 0) {
      throw new Error(`pool ${folder.path}: has namespaces (${files[0]}), and no table ${folder.tablePath}`);
    }
    const entries = text === null ? [] : parseTable(text, folder.tablePath);
    for (const { state, file } of entries) if (state !== 'ready') folder.removeSync(file);
    this.#entries = entries.filter(({ state }) => state === 'ready');
    for (const file of folder.files()) {
      if (!this.#entries.some((entry) => entry.file === file))
        log.warn({ file }, 'is in the pool, but not in its table');
    }
    if (this.allocatedBytes > sizeBytes) {
      throw new Error(
        `pool ${folder.path}: its namespaces have ${this.allocatedBytes} bytes, more than size= gives it`,
      );
    }
  }

  /** What namespaces have of it. */
  get allocatedBytes(): number {
    return this.#entries.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  }

  /** Opens the namespaces there are. @throws Error, one line; then none is open. */
  open(): KeptNamespace[] {
    const opened: KeptNamespace[] = [];
    try {
      for (const entry of this.#entries) {
        const { nsid, attached } = entry;
        opened.push({ nsid, attached, options: this.#options(entry, this.#openFile(entry)) });
      }
    } catch (error) {
      for (const { options } of opened) options.backend.close().catch(() => {});
      throw error;
    }
    return opened;
  }

  /**
   * Makes a namespace, not attached. Durable once resolved; rejects with the pool as it was.
   * @param reserve makes sure that the file has its room.
   */
  async create(made: NewNamespace, reserve: (backend: BlockBackend) => Promise<void>): Promise<NamespaceOptions> {
    const { nsid, sizeBytes, lbaBytes } = made;
    const file = `namespace-${randomUUID()}.img`;
    const identity = randomIdentity();
    const notes: Notes = { lbaBytes };
    const entry: PoolEntry = { nsid, state: 'creating', file, sizeBytes, attached: false, identity, notes };
    await this.#change((entries) => [...entries, entry]);
    let backend: BlockBackend | null = null;
    try {
      await this.folder.make(file, sizeBytes);
      backend = this.#openFile(entry);
      await reserve(backend);
      await this.#set(file, { state: 'ready' });
      return this.#options(entry, backend);
    } catch (error) {
      await this.#undo(entry, backend);
      throw error;
    }
  }

  /** The intent to delete them: nothing brings them back once it is durable. Rejects with all as it was. */
  async condemn(nsids: readonly number[]): Promise<void> {
    await this.#change((entries) =>
      entries.map((entry) =>
        entry.state === 'ready' && nsids.includes(entry.nsid) ? { ...entry, state: 'deleting' } : entry,
      ),
    );
  }

  /** Removes the file of a condemned namespace, in which nothing is under way, and forgets it. Its room is free then. */
  async delete(nsid: number, backend: BlockBackend): Promise<void> {
    // The last of them: one before it may have a file that cannot be removed.
    const { file } = this.#entries.findLast((entry) => entry.nsid === nsid && entry.state === 'deleting')!;
    await this.#remove(file, backend);
    await this.#change((entries) => entries.filter((entry) => entry.file !== file));
  }

  /** It is attached, or not, from the next start on. */
  async setAttached(nsid: number, attached: boolean): Promise<void> {
    const { file } = this.#entries.find((entry) => entry.nsid === nsid && entry.state === 'ready')!;
    await this.#set(file, { attached });
  }

  /** Whoever has ended with the namespaces. */
  close(): void {
    this.folder.unlock();
  }

  #openFile({ file, sizeBytes }: PoolEntry): BlockBackend {
    return this.folder.open(file, sizeBytes);
  }

  #options({ file, sizeBytes, identity, notes }: PoolEntry, backend: BlockBackend): NamespaceOptions {
    const kept = new DriveNotes(notes, (content) => this.#set(file, { notes: content }));
    const drive = this.folder.drive(file, sizeBytes);
    return {
      backend,
      drive,
      file: fileIdentity(drive.path),
      lbaBytes: null,
      deletable: true,
      identity,
      notes: kept,
    };
  }

  /** What was begun is taken back; what cannot be is left to the next start, which finds the intent. */
  async #undo({ file }: PoolEntry, backend: BlockBackend | null): Promise<void> {
    try {
      await this.#remove(file, backend);
      await this.#change((entries) => entries.filter((entry) => entry.file !== file));
    } catch (error) {
      this.#log.warn(
        { file, error: String(error) },
        'what is left of a namespace that could not be made stays until the next start',
      );
    }
  }

  async #remove(file: string, backend: BlockBackend | null): Promise<void> {
    try {
      await this.folder.remove(file);
    } finally {
      // What it would tell is of a file that nobody wants.
      await backend?.close().catch(() => {});
    }
  }

  #set(file: string, changes: Partial<PoolEntry>): Promise<void> {
    return this.#change((entries) => entries.map((entry) => (entry.file === file ? { ...entry, ...changes } : entry)));
  }

  /** One change after the other, each durable before the next. */
  #change(change: (entries: readonly PoolEntry[]) => readonly PoolEntry[]): Promise<void> {
    const next = this.#last.then(async () => {
      const entries = change(this.#entries);
      try {
        await this.#table.replace(formatTable(entries));
      } catch (error) {
        // It may be there already, and only not for certain: what is said to have failed must not come true at the next start.
        await this.#table.replace(formatTable(this.#entries)).catch(() => {});
        throw error;
      }
      this.#entries = entries;
    });
    this.#last = next.catch(() => {});
    return next;
  }
}
