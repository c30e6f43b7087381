import { AdminOpcode, type NvmeCommand, type NvmeCompletion } from '@sidecard/testing';
import fc from 'fast-check';
import { Cns, Feature, LogPage } from '../../../src/command/commands.ts';
import { Status } from '../../../src/status.ts';
import type { Model } from '../model.ts';
import { Pending, type Plan } from '../pending.ts';
import { plainShape, Transfer } from '../transfer.ts';
import { hex, must } from '../violation.ts';
import { prpShape } from './blocks.ts';

/** What an admin command hands over. */
abstract class Question extends Pending {
  readonly sqe: NvmeCommand;

  constructor(model: Model, command: NvmeCommand, transfer: Transfer) {
    super(model, transfer);
    this.sqe = { ...command, ...transfer.pointer };
  }

  override begin(): void {
    this.transfer!.open();
  }

  /** The same question has the same answer. */
  checkConstant(): void {
    const { opcode, nsid, cdw10, cdw11, cdw12 } = this.sqe;
    const key = [opcode, nsid, cdw10, cdw11, cdw12].join(' ');
    const answer = this.transfer!.load();
    const before = this.model.constants.get(key);
    must(before === undefined || Buffer.compare(before, answer) === 0, () => `${this}: not the same as before`);
    this.model.constants.set(key, answer);
  }
}

/** Identify (NVMe Base 2.0, 5.17). */
class Identify extends Question {
  override ended(completion: NvmeCompletion): void {
    const { nsid = 0, cdw10: cns } = this.sqe;
    const disk = this.model.disk(nsid);
    const about = cns === Cns.namespace || cns === Cns.namespaceDescriptors || cns === Cns.independentNamespace;
    const missing = this.model.missing(nsid);
    // Of one that is inactive the structure is there, and all zeroes (3.2.1.4).
    const structure = cns === Cns.namespace || cns === Cns.independentNamespace;
    const blank = structure && missing === Status.invalidField;
    const wrong: number[] = about && disk === null && !blank ? [missing] : [];
    this.expect(completion, ...(wrong.length > 0 ? wrong : this.transferStatuses));
    if (completion.status !== Status.success) return;
    this.checkConstant();
    const view = new DataView(this.transfer!.load().buffer);
    if (cns === Cns.namespace) this.#checkSize(view.getUint32(0, true), disk?.blocks.length ?? 0);
    if (cns === Cns.activeNamespaces)
      this.#checkSize(
        view.getUint32(0, true),
        this.model.disks.find((one) => one.attached && one.nsid > nsid)?.nsid ?? 0,
      );
  }

  #checkSize(found: number, wanted: number): void {
    must(found === wanted, () => `${this}: ${found}, not ${wanted}`);
  }
}

const cnsValues = [
  Cns.namespace,
  Cns.controller,
  Cns.activeNamespaces,
  Cns.namespaceDescriptors,
  Cns.ioController,
  Cns.independentNamespace,
];

export const identify: fc.Arbitrary<Plan> = fc
  .record({ cns: fc.constantFrom(...cnsValues), nsid: fc.constantFrom(0, 1, 2, 3), how: prpShape })
  .map(({ cns, nsid, how }) => ({
    plan: (model) => {
      const transfer = Transfer.prp(model.memory, 4096, how);
      const command = { opcode: AdminOpcode.identify, nsid, cdw10: cns };
      return transfer === null ? null : new Identify(model, command, transfer);
    },
    toString: () => `identify ${fc.stringify({ cns, nsid, how })}`,
  }));

/** Whose events a log page clears (figure 145). */
const eventTypes: { readonly [page: number]: number } = {
  [LogPage.error]: 0,
  [LogPage.health]: 1,
  [LogPage.changedNamespaces]: 2,
};

/** Get Log Page (5.16). */
class GetLogPage extends Question {
  readonly #page: number;
  readonly #offset: number;
  /** Its event type, when reading it clears events. */
  readonly #clears: number | undefined;
  #counters: number[] = [];
  #known = 0;

  constructor(model: Model, page: number, offset: number, retain: boolean, transfer: Transfer) {
    const dwords = transfer.lengthBytes / 4 - 1;
    const cdw10 = ((dwords << 16) | (retain ? 1 << 15 : 0) | page) >>> 0;
    super(model, { opcode: AdminOpcode.getLogPage, nsid: 0xffff_ffff, cdw10, cdw12: offset }, transfer);
    this.#page = page;
    this.#offset = offset;
    this.#clears = retain ? undefined : eventTypes[page];
  }

  override begin(): void {
    super.begin();
    this.#counters = this.model.health.snapshot();
    this.#known = this.model.errorLog.known;
    if (this.#clears !== undefined) this.model.events.reading(this.#clears);
  }

  override ended(completion: NvmeCompletion): void {
    this.expect(completion, ...(this.#page === 0x7f ? [Status.invalidLogPage] : this.transferStatuses));
    const good = completion.status === Status.success;
    if (this.#clears !== undefined) this.model.events.read(this.#clears, good);
    if (good) this.#check();
  }

  override dropped(): void {
    if (this.#clears !== undefined) this.model.events.read(this.#clears, false);
  }

  #check(): void {
    const { model, transfer } = this;
    const bytes = transfer!.load();
    const whole = this.#offset === 0 && bytes.length >= 512;
    if (this.#page === LogPage.health) {
      if (whole) model.health.check(bytes, this.#counters);
      if (whole) this.#checkTemperature(bytes);
    } else if (this.#page === LogPage.error) {
      if (this.#offset === 0 && bytes.length === 4096) model.errorLog.check(bytes, this.#known, model.inFlight.length);
    } else if (this.#page !== LogPage.changedNamespaces) this.checkConstant();
  }

  /** Critical Warning bit 1: the temperature is at or beyond a threshold (feature 04h). */
  #checkTemperature(page: Uint8Array): void {
    const { features } = this.model;
    const temperature = page[1]! | (page[2]! << 8);
    const over = features.value(Feature.temperatureThreshold, 0);
    const under = features.value(Feature.temperatureThreshold, 1 << 20);
    const warned = (page[0]! & 2) !== 0;
    const cannot = warned
      ? over.certain(this.begun, (kelvin) => temperature < kelvin) &&
        under.certain(this.begun, (kelvin) => temperature > kelvin)
      : over.certain(this.begun, (kelvin) => temperature >= kelvin) ||
        under.certain(this.begun, (kelvin) => temperature <= kelvin);
    must(!cannot, () => `${this}: ${temperature} K, and critical warning ${hex(page[0]!)}`);
  }
}

/** The error log, which lets its events come again. */
export function clearErrors(model: Model): Pending {
  return new GetLogPage(model, LogPage.error, 0, false, Transfer.prp(model.memory, 4096, plainShape)!);
}

/** The logs that count, whole, for the end of a run. */
export function askLogs(model: Model): Pending[] {
  return [LogPage.health, LogPage.error].map((page) => {
    const transfer = Transfer.prp(model.memory, 4096, plainShape);
    return new GetLogPage(model, page, 0, true, transfer!);
  });
}

const pages = [
  LogPage.supported,
  LogPage.error,
  LogPage.health,
  LogPage.firmware,
  LogPage.commandEffects,
  LogPage.changedNamespaces,
  0x7f,
];

export const getLogPage: fc.Arbitrary<Plan> = fc
  .record({
    page: fc.constantFrom<number>(...pages, LogPage.error, LogPage.health),
    lengthBytes: fc.constantFrom(512, 4096, 4096, 4, 1000, 8192),
    offset: fc.constantFrom(0, 0, 0, 0, 64, 508),
    retain: fc.boolean(),
    how: prpShape,
  })
  .map(({ page, lengthBytes, offset, retain, how }) => ({
    plan: (model) => {
      const transfer = Transfer.prp(model.memory, lengthBytes, how);
      return transfer === null ? null : new GetLogPage(model, page, offset, retain, transfer);
    },
    toString: () => `getLogPage ${fc.stringify({ page, lengthBytes, offset, retain, how })}`,
  }));
