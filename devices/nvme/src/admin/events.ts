import type { Command } from '../command/command.ts';
import { LogPage } from '../command/commands.ts';
import type { Controller } from '../controller.ts';
import { asyncEventRequests } from '../limits.ts';

/** Asynchronous event types (NVMe Base 2.0, figure 145). */
const EventType = { error: 0, health: 1, notice: 2 } as const;
type EventType = (typeof EventType)[keyof typeof EventType];

/** Information of error events (figure 146), health events (147) and notices (148). */
export const ErrorEvent = { invalidDoorbellRegister: 0, invalidDoorbellValue: 1 } as const;
export const HealthEvent = { reliability: 0, temperature: 1 } as const;
export const NoticeEvent = { namespaceAttributes: 0 } as const;

/** Whose reading lets events of the type come again. */
const pageOf = {
  [EventType.error]: LogPage.error,
  [EventType.health]: LogPage.health,
  [EventType.notice]: LogPage.changedNamespaces,
};

/** One row per event type. */
const eventColumns = {
  /** Information values that are to be told, a bit each. */
  pending: 'i32',
  /** Told, and its log page not read since. */
  masked: 'u8',
} as const;

/** Asynchronous Event Requests and what they tell (NVMe Base 2.0, 5.2). */
export class AsyncEvents {
  readonly #controller: Controller;
  readonly #rows;
  /** How many events there have been, to tell whether any has come since; a successor reads logs again from the start. */
  raised = 0;
  /** The outstanding ones: commands of that opcode at step 1. */
  readonly #requests: Command[] = [];

  constructor(controller: Controller) {
    this.#controller = controller;
    this.#rows = controller.host.state.table('nvme/event', eventColumns, 3);
  }

  /** A guest's mistake that is no command's. Told after the access that made it has been answered. */
  error(information: number): void {
    this.#controller.errors.event();
    this.#raise(EventType.error, information);
  }

  health(information: number): void {
    if (((this.#controller.features.healthEvents >>> information) & 1) !== 0)
      this.#raise(EventType.health, information);
  }

  notice(information: number): void {
    if (((this.#controller.features.noticeEvents >>> information) & 1) !== 0)
      this.#raise(EventType.notice, information);
  }

  /** What it would tell has been read meanwhile. */
  forgetNotice(information: number): void {
    const { pending } = this.#rows;
    pending[EventType.notice] = pending[EventType.notice]! & ~(1 << information);
  }

  #raise(type: EventType, information: number): void {
    this.#rows.pending[type] = this.#rows.pending[type]! | (1 << information);
    this.raised = (this.raised + 1) | 0;
    this.#controller.wake();
  }

  /** Takes a request; false: there are as many as can be. It ends with the next event. */
  accept(request: Command): boolean {
    if (this.#requests.length >= asyncEventRequests) return false;
    this.#requests.push(request);
    return true;
  }

  /** Ends requests with the events there are, as far as the admin completion queue has room. */
  deliver(): void {
    while (this.#requests.length > 0) {
      const completions = this.#controller.queues.completion[0]!;
      if (!completions.hasRoom && !this.#controller.doorbells.lookAtHead(completions)) return;
      const result = this.#next();
      if (result < 0) return;
      const request = this.#requests.shift()!;
      request.result = result;
      request.step = 2;
      this.#told(result);
      completions.reserved++;
      this.#controller.processor.unpark(request);
    }
  }

  /** Dword 0 of the next event's completion (figure 144), or -1. */
  #next(): number {
    for (const type of [EventType.error, EventType.health, EventType.notice]) {
      const pending = this.#rows.pending[type]! & this.#wanted(type);
      if (pending === 0 || this.#rows.masked[type] !== 0) continue;
      const information = 31 - Math.clz32(pending & -pending);
      return type | (information << 8) | (pageOf[type] << 16);
    }
    return -1;
  }

  /** What the guest wants to hear of at present (feature 0Bh), a bit each. */
  #wanted(type: EventType): number {
    const { features } = this.#controller;
    if (type === EventType.error) return -1;
    return type === EventType.health ? features.healthEvents : features.noticeEvents;
  }

  /** That event is with a request: a successor that finds it there does this again. */
  #told(result: number): void {
    const { pending, masked } = this.#rows;
    const type = result & 7;
    pending[type] = pending[type]! & ~(1 << ((result >>> 8) & 0xff));
    masked[type] = 1;
  }

  /**
   * A log page has been read without Retain Asynchronous Event, which clears its events: one that was told lets the next of its type come, and one
   * that no request has come for is not told any more (of notices, that is for who has the log: `forgetNotice`).
   * @param raised what `raised` was when the page was made: what came since has not been read.
   */
  read(page: number, raised: number): void {
    const { pending, masked } = this.#rows;
    for (const type of [EventType.error, EventType.health, EventType.notice]) {
      if (pageOf[type] !== page) continue;
      if (masked[type] === 0 && type !== EventType.notice && raised === this.raised) pending[type] = 0;
      masked[type] = 0;
      this.#controller.wake();
    }
  }

  /** A request with that id is outstanding. */
  has(cid: number): boolean {
    return this.#requests.some((request) => request.cid === cid);
  }

  /** Takes back the request with that id, which is to be aborted. */
  withdraw(cid: number): Command | null {
    const index = this.#requests.findIndex((request) => request.cid === cid);
    return index < 0 ? null : this.#requests.splice(index, 1)[0]!;
  }

  /** A reset: outstanding requests are gone without completion, and so is what was pending. */
  reset(): void {
    this.#requests.length = 0;
    this.#rows.pending.fill(0);
    this.#rows.masked.fill(0);
  }
}
