import type { Doorbells, TrappedDoorbells } from '@sidecard/testing';
import { namespaceLimit } from '../../src/limits.ts';
import { Status } from '../../src/status.ts';
import type { DiskModel } from './disk-model.ts';
import { ErrorLogModel } from './error-log-model.ts';
import { EventModel } from './event-model.ts';
import { FeatureModel } from './feature-model.ts';
import type { GuestPages, Opened } from './guest-pages.ts';
import { HealthModel } from './health-model.ts';
import type { ModelDrive } from './model-drive.ts';
import type { Pending } from './pending.ts';
import type { CompletionRing, SubmissionRing } from './rings.ts';
import { must } from './violation.ts';

/** Disabled; enabled; or CC.SHN was written: what is in flight ends, and nothing more is fetched. */
export type ControllerState = 'disabled' | 'enabled' | 'shutDown';

export interface ModelParts {
  readonly memory: GuestPages;
  readonly disks: readonly DiskModel[];
  readonly drives: readonly ModelDrive[];
  readonly random: () => number;
  readonly mapped: boolean;
}

/** What the specification says of a controller that was sent what has been sent so far. */
export class Model {
  readonly memory: GuestPages;
  readonly disks: DiskModel[];
  readonly drives: readonly ModelDrive[];
  readonly random: () => number;
  /** Guest memory is shared with the device. */
  readonly mapped: boolean;
  /** Moments: before each submission and before each look at completions. */
  now = 0;
  state: ControllerState = 'disabled';
  /** By identifier; 0 is the admin queue. */
  readonly submission = new Map<number, SubmissionRing>();
  readonly completion = new Map<number, CompletionRing>();
  readonly features = new FeatureModel();
  readonly events = new EventModel();
  readonly health = new HealthModel(this);
  readonly errorLog = new ErrorLogModel();
  /** What is the same whenever it is asked for (Identify, constant logs), by the question. */
  readonly constants = new Map<string, Uint8Array>();
  /** For queues made from now on. */
  doorbells: Doorbells | null = null;
  trapped: TrappedDoorbells | null = null;
  /** Shadow doorbells and EventIdx: what the device may write of them, and both pages. */
  readonly doorbellPages: (Opened | number)[] = [];
  /** Interrupts that queues may choose from; 0: without. */
  vectors = 0;
  /** Commands so far. */
  submitted = 0;
  #tag = 0;

  constructor(parts: ModelParts) {
    this.memory = parts.memory;
    this.disks = [...parts.disks];
    this.drives = parts.drives;
    this.random = parts.random;
    this.mapped = parts.mapped;
  }

  /** Numbers for blocks that are about to be written. */
  freshTags(count: number): number[] {
    return Array.from({ length: count }, () => ++this.#tag);
  }

  get inFlight(): Pending[] {
    return [...this.submission.values()].flatMap(({ pending }) => [...pending.values()]);
  }

  /** I/O queues that take commands. */
  get ioQueues(): SubmissionRing[] {
    return [...this.submission.values()].filter(({ id, state }) => id !== 0 && state === 'live');
  }

  /** The namespace that commands are for; null: none is active by that number. */
  disk(nsid: number): DiskModel | null {
    const disk = this.disks[nsid - 1];
    return disk?.attached ? disk : null;
  }

  /** How a command fails whose namespace is not there: inactive, or none that can be (3.2.1.1, 3.2.1.4). */
  missing(nsid: number): number {
    return nsid >= 1 && nsid <= namespaceLimit ? Status.invalidField : Status.invalidNamespace;
  }

  submit(ring: SubmissionRing, command: Pending): void {
    this.now++;
    command.ring = ring;
    command.begun = this.now;
    command.begin();
    this.submitted++;
    ring.push(command);
  }

  /** The submission queue is gone, or its controller was reset: so are its commands. */
  forget(ring: SubmissionRing): void {
    this.now++;
    for (const command of ring.pending.values()) command.drop();
    this.submission.delete(ring.id);
    ring.free();
  }

  /** A reset of any level has been answered (3.7): no command of before touches anything any more. */
  reset(): void {
    this.state = 'disabled';
    for (const ring of [...this.submission.values()]) this.forget(ring);
    for (const ring of this.completion.values()) ring.free();
    this.completion.clear();
    for (const one of this.doorbellPages.splice(0)) {
      if (typeof one === 'number') this.memory.give(one);
      else this.memory.close(one);
    }
    this.features.reset();
    this.events.reset();
    this.#forgetErrors();
    this.lookAtDrives();
  }

  /** Errors of requests whose commands were lost. */
  #forgetErrors(): void {
    for (const [index, drive] of this.drives.entries()) {
      const errors = drive.errors.splice(0);
      this.health.lost(errors);
      const disk = this.disks[index]!;
      if (errors.some(({ operation }) => operation === 'flush')) disk.flushMayFail = true;
    }
  }

  /** Takes what is in a completion queue, up to `most` entries. */
  reap(ring: CompletionRing, most: number): number {
    this.now++;
    const taken = ring.reap(most);
    for (const completion of taken) {
      const queue = this.submission.get(completion.sqid);
      const known = queue !== undefined && queue.completions === ring;
      must(known, () => `queue ${ring.id} has a completion of queue ${completion.sqid}`);
      queue!.take(completion).complete(completion);
    }
    return taken.length;
  }

  /** The same of all of them. */
  reapAll(most: number): void {
    for (const ring of [...this.completion.values()]) {
      // A completion may be that of the deletion of another.
      if (this.completion.get(ring.id) === ring) this.reap(ring, most);
    }
  }

  /** Nothing is in flight: the drives tell which of the possible ways it went. */
  lookAtDrives(): void {
    this.now++;
    for (const disk of this.disks) disk.look(this.now);
  }
}
