import { setImmediate } from 'node:timers/promises';
import { AdminOpcode, type NvmeCompletion } from '@sidecard/testing';
import { Cns } from '../../../src/command/commands.ts';
import { controllerId } from '../../../src/limits.ts';
import { Status } from '../../../src/status.ts';
import { flushMayFail } from '../commands/flush.ts';
import { DiskModel } from '../disk-model.ts';
import type { Model } from '../model.ts';
import { Pending } from '../pending.ts';
import type { Real } from '../real.ts';
import { plainShape, Transfer } from '../transfer.ts';
import { hex, must } from '../violation.ts';
import { Action } from './action.ts';
import { Reset, Start } from './resets.ts';
import { drain } from './time.ts';

/** Block sizes by the index of their LBA format (NVM Command Set 1.0, figure 98). */
const formats = [512, 4096];

/** A command of the admin queue that may be refused, and is alone in flight. */
class Alone extends Pending {
  readonly sqe;
  readonly #statuses: readonly number[];

  constructor(model: Model, sqe: object & { opcode: number; nsid: number }, statuses: number[], transfer?: Transfer) {
    super(model, transfer ?? null);
    this.sqe = { ...sqe, ...transfer?.pointer };
    this.#statuses = statuses;
  }

  override ended(completion: NvmeCompletion): void {
    this.expect(completion, ...this.#statuses);
  }
}

/** Submits it, and waits: work on namespaces goes on between turns. Its status, or null when that does not come within so many. */
async function run(model: Model, real: Real, command: Pending, rounds = 1000): Promise<number | null> {
  const ring = model.submission.get(0)!;
  model.submit(ring, command);
  ring.ring();
  for (let round = 0; round < rounds && command.status === null; round++) {
    await real.turn(10);
    await setImmediate();
    model.reapAll(1000);
  }
  return command.status;
}

/** Format NVM (NVMe Base 2.0, 5.14): all blocks are zeroes, of the size asked for. A reset of who asked does not end it. */
export class Format extends Action {
  readonly #nsid: number;
  readonly #index: number;
  readonly #isReset: boolean;

  constructor(nsid: number, index: number, isReset: boolean) {
    super();
    this.#nsid = nsid;
    this.#index = index;
    this.#isReset = isReset;
  }

  override check(model: Readonly<Model>): boolean {
    return model.state === 'enabled' && this.#nsid <= model.disks.length;
  }

  async act(model: Model, real: Real): Promise<void> {
    const drive = model.drives[this.#nsid - 1]!;
    await drain(model, real);
    drive.failNext = 0;
    const { readOnly } = drive.geometry;
    const disk = model.disks[this.#nsid - 1]!;
    const statuses = this.#statuses(model, readOnly);
    const sqe = { opcode: AdminOpcode.formatNvm, nsid: this.#nsid, cdw10: this.#index };
    const command = new Alone(model, sqe, statuses);
    model.constants.clear();
    model.events.happened(2, 0, false);
    const status = await run(model, real, command, this.#isReset ? 2 : 1000);
    if (status === null) await this.#lose(model, real);
    else if (status === Status.success) this.#replace(model, formats[this.#index]!);
    else if (!readOnly)
      disk.drop(0, disk.begin(0, new Array<number>(disk.blocks.length).fill(0), model.now), model.now);
    await drain(model, real);
  }

  /** A drive whose flushes fail is not formatted, since its zeroes could not be made durable. */
  #statuses(model: Model, readOnly: boolean): number[] {
    if (readOnly) return [Status.namespaceWriteProtected];
    const disk = model.disks[this.#nsid - 1]!;
    if (disk.flushFailedAt < model.now) return [Status.writeFault];
    return flushMayFail(model, disk) ? [Status.success, Status.writeFault] : [Status.success];
  }

  /** Its answer never comes; the format may have begun, and ends then. */
  async #lose(model: Model, real: Real): Promise<void> {
    must(this.#isReset, () => `${this} is never answered`);
    const old = model.disks[this.#nsid - 1]!;
    const before = old.begin(0, new Array<number>(old.blocks.length).fill(0), model.now);
    await new Reset('cc', 0).act(model, real);
    for (let round = 0; round < 100; round++) {
      await real.turn(10);
      await setImmediate();
    }
    await new Start(16, []).act(model, real);
    const transfer = Transfer.prp(model.memory, 4096, plainShape)!;
    transfer.open();
    const sqe = { opcode: AdminOpcode.identify, nsid: this.#nsid, cdw10: Cns.allocatedNamespace };
    let page: Uint8Array = new Uint8Array(0);
    const identify = new Alone(model, sqe, [Status.success], transfer);
    identify.dropped = () => {};
    const { ended } = identify;
    identify.ended = (completion) => {
      ended.call(identify, completion);
      page = transfer.load();
    };
    await run(model, real, identify);
    const blockBytes = 2 ** page[128 + 4 * (page[26]! & 0xf) + 2]!;
    const known = blockBytes === old.blockBytes || blockBytes === formats[this.#index];
    must(known, () => `${this} has left blocks of ${blockBytes} bytes`);
    if (blockBytes === old.blockBytes) old.drop(0, before, model.now);
    else this.#replace(model, blockBytes);
  }

  #replace(model: Model, blockBytes: number): void {
    const { disks, drives } = model;
    const old = disks[this.#nsid - 1]!;
    const disk = new DiskModel(this.#nsid, blockBytes, drives[this.#nsid - 1]!);
    disk.attached = old.attached;
    disk.flushMayFail = old.flushMayFail;
    disk.flushFailedAt = old.flushFailedAt;
    disks[this.#nsid - 1] = disk;
    disk.checkDurable(model.now, `${this}`);
  }

  toString(): string {
    return `format ${this.#nsid} to ${formats[this.#index]}${this.#isReset ? ', and a reset' : ''}`;
  }
}

/** Namespace Attachment (5.22): detaches the namespace, or attaches it again. */
export class Attachment extends Action {
  readonly #nsid: number;

  constructor(nsid: number) {
    super();
    this.#nsid = nsid;
  }

  override check(model: Readonly<Model>): boolean {
    return model.state === 'enabled' && this.#nsid <= model.disks.length;
  }

  async act(model: Model, real: Real): Promise<void> {
    await drain(model, real);
    const disk = model.disks[this.#nsid - 1]!;
    const transfer = Transfer.prp(model.memory, 4096, plainShape)!;
    const list = new Uint16Array(2048);
    list.set([1, controllerId]);
    transfer.store(new Uint8Array(list.buffer));
    const sqe = { opcode: AdminOpcode.namespaceAttachment, nsid: this.#nsid, cdw10: disk.attached ? 1 : 0 };
    model.constants.clear();
    model.events.happened(2, 0, false);
    const status = await run(model, real, new Alone(model, sqe, [Status.success], transfer));
    must(status !== null, () => `${this}: opcode ${hex(sqe.opcode)} is never answered`);
    disk.attached = !disk.attached;
  }

  toString(): string {
    return `attach or detach ${this.#nsid}`;
  }
}
