import type { HostBuffer } from '@sidecard/core';
import type { Controller } from '../controller.ts';
import type { Namespace } from '../namespaces/namespace.ts';
import { NoticeEvent } from './events.ts';

/** By nsid: the number of its last change that has not been read; 0 for none. */
const changeColumns = { change: 'f64' } as const;
/** Changes so far. */
const countColumns = { count: 'f64' } as const;

/** Most entries of the log; with more it says FFFFFFFFh (NVMe Base 2.0, 5.16.1.5). */
const entries = 1024;

/** The Changed Namespace List log, and the event that there is something in it. */
export class ChangedNamespaces {
  readonly #controller: Controller;
  readonly #rows;
  readonly #count;

  constructor(controller: Controller) {
    const { state } = controller.host;
    this.#controller = controller;
    this.#rows = state.table('nvme/changed-namespace', changeColumns, controller.namespaces.limit + 1);
    this.#count = state.table('nvme/changed-namespace/count', countColumns, 1);
  }

  /** The number of the last change: who reads the log now, reads it to here. */
  get last(): number {
    return this.#count.count[0]!;
  }

  /** The namespace has come or gone, or is another than before. */
  add(nsid: number): void {
    const change = this.last + 1;
    this.#rows.change[nsid] = change;
    this.#count.count[0] = change;
    this.#controller.events.notice(NoticeEvent.namespaceAttributes);
  }

  /** Identify says something else of it. Of one that is not attached nobody is told. */
  attributes(namespace: Namespace): void {
    if (namespace.attached) this.add(namespace.nsid);
  }

  /** It has changed, and the guest has not read so. */
  isUnread(nsid: number): boolean {
    return this.#rows.change[nsid] !== 0;
  }

  /** Fills a page of zeroes. */
  fill(page: HostBuffer): void {
    const changed = [...this.#rows.change.keys()].filter((nsid) => this.#rows.change[nsid] !== 0);
    if (changed.length > entries) page.view.setUint32(0, 0xffff_ffff, true);
    else for (const [index, nsid] of changed.entries()) page.view.setUint32(4 * index, nsid, true);
  }

  /** The log has been read as it was at that change; what came since stays. */
  clear(last: number): void {
    const { change } = this.#rows;
    let left = false;
    for (let nsid = 0; nsid < change.length; nsid++) {
      if (change[nsid]! <= last) change[nsid] = 0;
      else left = true;
    }
    const { events } = this.#controller;
    if (left) events.notice(NoticeEvent.namespaceAttributes);
    else events.forgetNotice(NoticeEvent.namespaceAttributes);
  }
}
