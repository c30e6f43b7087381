import type { BlockBackend } from '@sidecard/block';
import type { Host } from '@sidecard/core';
import { type UncorrectableRows, uncorrectableColumns } from '../io/uncorrectable-blocks.ts';
import { namespaceLimit, uncorrectableRanges } from '../limits.ts';
import { type Failure, Field, mistake, Status } from '../status.ts';
import type { AddedNamespace } from './backing.ts';
import { Namespace, type NamespaceOptions, type NamespaceRows, namespaceColumns } from './namespace.ts';

/** A namespace that was made before this process began. */
export interface KeptNamespace {
  readonly nsid: number;
  readonly options: NamespaceOptions;
  readonly attached: boolean;
}

/** The namespaces of the subsystem, which are all this controller's to attach (NVMe Base 2.0, 3.2.1). */
export class Namespaces {
  /** Most namespaces, and the largest nsid (NN, MNAN). */
  readonly limit: number;
  /** Those that are allocated, by nsid ascending. */
  readonly list: Namespace[] = [];
  /** Of them, those that are attached. */
  readonly activeList: Namespace[] = [];
  readonly #host: Host;
  readonly #rows: NamespaceRows;
  readonly #marks: UncorrectableRows;
  /** By nsid. */
  readonly #allocated: (Namespace | null)[];
  readonly #active: (Namespace | null)[];
  readonly #unpoll = new Map<BlockBackend, () => void>();

  /**
   * @param drives those of the command line: namespaces 1, 2 and so on; null for one that was removed.
   * @param kept those that the pool has, with the nsids that they were made with.
   * @param added those that a person has added, for a successor.
   * @throws Error, one line, as Namespace does, or when an nsid is wanted twice.
   */
  constructor(
    host: Host,
    drives: readonly (NamespaceOptions | null)[],
    kept: readonly KeptNamespace[] = [],
    added: readonly AddedNamespace[] = [],
  ) {
    this.#host = host;
    this.limit = Math.max(namespaceLimit, drives.length, ...kept.map(({ nsid }) => nsid));
    this.#rows = host.state.table('nvme/namespace', namespaceColumns, this.limit + 1);
    this.#marks = host.state.table('nvme/uncorrectable', uncorrectableColumns, uncorrectableRanges);
    this.#allocated = new Array<Namespace | null>(this.limit + 1).fill(null);
    this.#active = new Array<Namespace | null>(this.limit + 1).fill(null);
    for (const [index, drive] of drives.entries()) {
      if (drive === null) continue;
      // A successor finds whether it is attached; a namespace of the command line is at first.
      const known = this.#rows.allocated[index + 1] !== 0;
      const namespace = this.add(index + 1, drive);
      if (!known) this.attach(namespace);
    }
    for (const { nsid, options } of added) this.add(nsid, options);
    for (const { nsid, options, attached } of kept) {
      const other = this.allocated(nsid);
      if (other !== null) {
        throw new Error(
          `${options.backend.description}: is namespace ${nsid}, and so is drive ${other.backend.description} (delete it first without the drive, or give fewer drives)`,
        );
      }
      const namespace = this.add(nsid, options);
      // The table says it: a predecessor may have died before the row did.
      if (attached) this.attach(namespace);
      else this.detach(namespace);
    }
    for (let nsid = 1; nsid <= this.limit; nsid++) if (this.#allocated[nsid] === null) this.#clear(nsid);
  }

  /** The namespace that commands with this nsid are for, or null (see `missing`). */
  active(nsid: number): Namespace | null {
    return nsid <= this.limit ? this.#active[nsid]! : null;
  }

  /** The same, whether attached or not. */
  allocated(nsid: number): Namespace | null {
    return nsid <= this.limit ? this.#allocated[nsid]! : null;
  }

  /** Why there is no active namespace with that nsid: it is inactive, or cannot be (3.2.1.1, 3.2.1.4). */
  missing(nsid: number): Failure {
    const valid = nsid >= 1 && nsid <= this.limit;
    return mistake(valid ? Status.invalidField : Status.invalidNamespace, Field.nsid);
  }

  /** The lowest nsid that is not allocated, or 0. */
  get unused(): number {
    for (let nsid = 1; nsid <= this.limit; nsid++) if (this.#allocated[nsid] === null) return nsid;
    return 0;
  }

  /** Measures the drives again, but not those of the pool, whose sizes are in its table. Answers which have another size. */
  remeasure(): Namespace[] {
    return this.list.filter((namespace) => !namespace.deletable && namespace.backend.remeasure());
  }

  /** Allocates a namespace, not attached (unless a predecessor had it so). @throws Error as the constructor. */
  add(nsid: number, options: NamespaceOptions): Namespace {
    const namespace = new Namespace(nsid, options, this.#rows, this.#marks, this.#host.clock);
    this.#allocated[nsid] = namespace;
    this.#rows.allocated[nsid] = 1;
    this.#unpoll.set(namespace.backend, this.#host.poll(namespace.backend));
    this.#update();
    return namespace;
  }

  /** Forgets a namespace without anything in flight, whose backend the caller closes. */
  remove(namespace: Namespace): void {
    const { nsid, backend } = namespace;
    this.#allocated[nsid] = null;
    this.#clear(nsid);
    namespace.uncorrectable.forget();
    this.#unpoll.get(backend)?.();
    this.#unpoll.delete(backend);
    this.#update();
  }

  /** Closes every drive, each drained and flushed, whatever becomes of the others. From here on nobody looks at them but they themselves. */
  close(): Promise<PromiseSettledResult<void>[]> {
    for (const unpoll of this.#unpoll.values()) unpoll();
    this.#unpoll.clear();
    return Promise.allSettled(this.list.map(({ backend }) => backend.close()));
  }

  attach(namespace: Namespace): void {
    this.#rows.attached[namespace.nsid] = 1;
    this.#update();
  }

  detach(namespace: Namespace): void {
    this.#rows.attached[namespace.nsid] = 0;
    this.#update();
  }

  /** Has the drives start what was submitted since the last time. */
  commit(): void {
    const { list } = this;
    for (let index = 0; index < list.length; index++) list[index]!.commit();
  }

  #clear(nsid: number): void {
    this.#rows.allocated[nsid] = 0;
    this.#rows.attached[nsid] = 0;
    this.#rows.flushFailed[nsid] = 0;
    this.#rows.iops[nsid] = 0;
    this.#rows.bytesPerSecond[nsid] = 0;
  }

  #update(): void {
    this.list.length = 0;
    this.activeList.length = 0;
    for (let nsid = 1; nsid <= this.limit; nsid++) {
      const namespace = this.#allocated[nsid]!;
      this.#active[nsid] = namespace?.attached ? namespace : null;
      if (namespace === null) continue;
      this.list.push(namespace);
      if (namespace.attached) this.activeList.push(namespace);
    }
  }
}
