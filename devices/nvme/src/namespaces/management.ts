import type { BlockBackend } from '@sidecard/block';
import { allNamespaces } from '../command/commands.ts';
import type { Controller } from '../controller.ts';
import { errnoOf, isFull } from '../host-errors.ts';
import { type Failure, Field, mistake, Status, type StatusCode } from '../status.ts';
import { Erasure } from './erasure.ts';
import type { Outcome } from './jobs.ts';
import type { LbaBytes } from './lba-formats.ts';
import type { Namespace } from './namespace.ts';
import type { Pool } from './pool.ts';

const undeletable = mistake(Status.operationDenied, Field.nsid);
const leaving = mistake(Status.invalidField, Field.nsid);

/**
 * What is done to the namespaces there are (NVMe Base 2.0, 8.12): each change is durable before its command is answered, and they come one after the other. A
 * guest's work ends with its command. A person means the namespace that there was when it was asked for (`meant`), and a guest is told of what it has not
 * done itself.
 */
export class NamespaceManagement {
  readonly #controller: Controller;
  readonly #pool: Pool | null;

  constructor(controller: Controller, pool: Pool | null) {
    this.#controller = controller;
    this.#pool = pool;
  }

  /** TNVMCAP: what drives have, and what there is room for. */
  get totalBytes(): number {
    const drives = this.#controller.namespaces.list.filter(({ deletable }) => !deletable);
    return drives.reduce((sum, { backend }) => sum + backend.geometry.sizeBytes, this.#pool?.sizeBytes ?? 0);
  }

  /** UNVMCAP. */
  get unallocatedBytes(): number {
    return this.#pool === null ? 0 : this.#pool.sizeBytes - this.#pool.allocatedBytes;
  }

  /** The outcome's result is the nsid. */
  create(sizeBytes: number, lbaBytes: LbaBytes): Promise<Outcome> {
    return this.#controller.jobs.exclusive(async () => {
      const { namespaces } = this.#controller;
      const nsid = namespaces.unused;
      if (sizeBytes > this.unallocatedBytes) return { failure: Status.insufficientCapacity };
      if (nsid === 0) return { failure: Status.namespaceIdentifierUnavailable };
      try {
        const options = await this.#pool!.create({ nsid, sizeBytes, lbaBytes }, (backend) => this.#reserve(backend));
        namespaces.add(nsid, options);
      } catch (error) {
        return { failure: this.#failed(error, 'a namespace cannot be made', Status.insufficientCapacity) };
      }
      this.#controller.host.log.info({ nsid, sizeBytes, lbaBytes }, 'the guest has made a namespace');
      return { failure: Status.success, result: nsid };
    });
  }

  /** @param nsid of a namespace, or all of them. What is under way in them ends first. */
  delete(nsid: number, meant: Namespace | null = null): Promise<Outcome> {
    return this.#inTurn(meant, async () => {
      const { namespaces, changed } = this.#controller;
      const one = namespaces.allocated(nsid);
      if (one === null && nsid !== allNamespaces) return { failure: namespaces.missing(nsid) };
      const all = one === null ? [...namespaces.list] : [one];
      for (const namespace of all) {
        if (!namespace.deletable) return { failure: undeletable };
        if (namespace.formatting !== null) return { failure: Status.formatInProgress };
      }
      if (all.length === 0) return { failure: Status.success };
      // Nobody may begin to format it from now on.
      for (const namespace of all) namespace.condemned = true;
      try {
        await this.#pool!.condemn(all.map((namespace) => namespace.nsid));
      } catch (error) {
        for (const namespace of all) namespace.condemned = false;
        return { failure: this.#failed(error, 'namespaces cannot be deleted') };
      }
      for (const namespace of all) {
        if (meant !== null) changed.attributes(namespace);
        namespaces.detach(namespace);
      }
      for (const namespace of all) await this.#remove(namespace);
      return { failure: Status.success };
    });
  }

  /** To the only controller there is. */
  attach(nsid: number, meant: Namespace | null = null): Promise<Outcome> {
    return this.#inTurn(meant, () => this.#setAttached(nsid, true));
  }

  /** What is under way in it ends first; for a drive that has stalled nobody else waits. */
  async detach(nsid: number, meant: Namespace | null = null): Promise<Outcome> {
    const outcome = await this.#inTurn(meant, () => this.#setAttached(nsid, false));
    if (outcome.failure === Status.success) await this.#controller.namespaces.allocated(nsid)?.settled();
    return outcome;
  }

  #inTurn(meant: Namespace | null, work: () => Promise<Outcome>): Promise<Outcome> {
    const { jobs, namespaces } = this.#controller;
    if (meant === null) return jobs.exclusive(work);
    return jobs.inTurn(async () => {
      if (jobs.stopping) return { failure: Status.internalError };
      return namespaces.allocated(meant.nsid) === meant ? work() : { failure: leaving };
    });
  }

  async #setAttached(nsid: number, attached: boolean): Promise<Outcome> {
    const { namespaces, changed } = this.#controller;
    const namespace = namespaces.allocated(nsid);
    if (namespace === null) return { failure: namespaces.missing(nsid) };
    if (namespace.condemned) return { failure: leaving };
    if (namespace.formatting !== null) return { failure: Status.formatInProgress };
    if (namespace.attached === attached) {
      return { failure: mistake(attached ? Status.alreadyAttached : Status.notAttached, Field.nsid) };
    }
    try {
      // Drives are attached at every start: whoever gives them wants them seen.
      if (namespace.deletable) await this.#pool!.setAttached(nsid, attached);
    } catch (error) {
      return { failure: this.#failed(error, 'a namespace cannot be attached or detached') };
    }
    if (attached) namespaces.attach(namespace);
    else namespaces.detach(namespace);
    changed.add(nsid);
    return { failure: Status.success };
  }

  /** Of a condemned one: the guest never sees it again, whatever becomes of its file. */
  async #remove(namespace: Namespace): Promise<void> {
    const { nsid, backend } = namespace;
    const { namespaces, features, host } = this.#controller;
    await namespace.unused();
    namespaces.remove(namespace);
    features.forgetNamespace(nsid);
    try {
      await this.#pool!.delete(nsid, backend);
      host.log.info({ nsid }, 'a namespace has been deleted');
    } catch (error) {
      host.log.warn({ nsid, error: String(error) }, 'the file of a deleted namespace stays until the next start');
    }
  }

  /** Where the pool is not sparse: the file gets all of its room, or fails for want of it. */
  async #reserve(backend: BlockBackend): Promise<void> {
    if (!this.#pool!.folder.reserves) return;
    const { host, jobs } = this.#controller;
    const forget = host.poll(backend);
    const errno = await new Erasure(host, backend, jobs).run();
    forget();
    if (errno !== 0) throw Object.assign(new Error(`${backend.description}: errno ${errno}`), { errno });
  }

  /** @param full the status where the host has no room. */
  #failed(error: unknown, what: string, full: StatusCode = Status.internalError): Failure {
    const { host, jobs } = this.#controller;
    if (jobs.stopping) return Status.internalError;
    host.log.warn({ error: error instanceof Error ? error.message : String(error) }, what);
    return isFull(errnoOf(error)) ? full : Status.internalError;
  }
}
