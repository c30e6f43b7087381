import { AdminOpcode, type NvmeCompletion } from '@sidecard/testing';
import fc from 'fast-check';
import { Feature } from '../../../src/command/commands.ts';
import { Status } from '../../../src/status.ts';
import type { Written } from '../history.ts';
import type { Model } from '../model.ts';
import { Pending, type Plan } from '../pending.ts';
import { hex, must } from '../violation.ts';
import { flushStatuses } from './flush.ts';

/** A feature as a driver may set it. */
export interface FeatureUse {
  readonly feature: number;
  readonly nsid: number;
  /** Dword 11 of Set Features, with what selects the value. */
  readonly cdw11: number;
  /** Of dword 11: what selects the value, and the value. */
  readonly selectMask: number;
  readonly valueMask: number;
  readonly statuses: readonly number[];
}

const use = (feature: number, cdw11: number, more: Partial<FeatureUse> = {}): FeatureUse => ({
  feature,
  nsid: 0,
  cdw11,
  selectMask: 0,
  valueMask: 0xffff_ffff,
  statuses: [Status.success],
  ...more,
});

/** One per feature: add a row for one that is new. */
const uses: fc.Arbitrary<FeatureUse> = fc.oneof(
  fc.nat(7).map((burst) => use(Feature.arbitration, burst)),
  fc
    .constantFrom(0, 1)
    .map((state) =>
      use(Feature.powerManagement, state, { statuses: state === 0 ? [Status.success] : [Status.invalidField] }),
    ),
  fc
    .record({ kelvin: fc.nat(400), under: fc.nat(1) })
    .map(({ kelvin, under }) =>
      use(Feature.temperatureThreshold, (under << 20) | kelvin, { selectMask: 0x3f_0000, valueMask: 0xffff }),
    ),
  fc
    .record({ limit: fc.nat(0xffff), nsid: fc.constantFrom(1, 2) })
    .map(({ limit, nsid }) => use(Feature.errorRecovery, limit, { nsid })),
  { weight: 3, arbitrary: fc.nat(1).map((enabled) => use(Feature.volatileWriteCache, enabled)) },
  fc.nat(0xffff).map((value) => use(Feature.interruptCoalescing, value)),
  fc.record({ vector: fc.constantFrom(0, 1, 64, 65), disabled: fc.nat(1) }).map(({ vector, disabled }) =>
    use(Feature.interruptVector, (disabled << 16) | vector, {
      selectMask: 0xffff,
      statuses: [vector > 64 ? Status.invalidField : Status.success],
    }),
  ),
  fc.nat(1).map((value) => use(Feature.writeAtomicity, value)),
  fc.constantFrom(0, 2, 4, 6, 0x102).map((value) => use(Feature.asyncEvents, value)),
  fc.constantFrom(0x00, 0x03, 0x7f, 0xc0).map((unknown) => use(unknown, 0, { statuses: [Status.invalidField] })),
);

/** Without a drive that has a volatile cache there is no such feature; with one drive no second namespace. */
function statusesOf(model: Model, { feature, nsid, statuses }: FeatureUse): readonly number[] {
  const cached = model.drives.some(({ geometry }) => geometry.volatileCache);
  if (feature === Feature.volatileWriteCache && !cached) return [Status.invalidField];
  if (nsid > 0 && model.disk(nsid) === null) return [model.missing(nsid)];
  return statuses;
}

function selectorOf({ nsid, cdw11, selectMask }: FeatureUse): number {
  return (cdw11 & selectMask) + nsid * 0x1_0000_0000;
}

function historyOf(model: Model, how: FeatureUse) {
  return model.features.value(how.feature, selectorOf(how));
}

/** Set Features (NVMe Base 2.0, 5.27). */
class SetFeatures extends Pending {
  readonly sqe;
  readonly #use: FeatureUse;
  #write: Written<number> | null = null;

  constructor(model: Model, how: FeatureUse) {
    super(model);
    this.#use = how;
    const { feature, nsid, cdw11 } = how;
    this.sqe = { opcode: AdminOpcode.setFeatures, nsid, cdw10: feature, cdw11 };
  }

  override begin(): void {
    const { model } = this;
    const { feature, cdw11, valueMask } = this.#use;
    if (!statusesOf(model, this.#use).includes(Status.success)) return;
    this.#write = historyOf(model, this.#use).begin((cdw11 & valueMask) >>> 0, model.now);
    // The temperature passes the threshold, or its event is wanted from now on.
    if (feature === Feature.temperatureThreshold || feature === Feature.asyncEvents) {
      model.events.happened(1, 1, false);
      model.events.happened(1, 0, false);
    }
  }

  override ended(completion: NvmeCompletion): void {
    const { model } = this;
    const turnsCacheOff = this.#use.feature === Feature.volatileWriteCache && (this.#use.cdw11 & 1) === 0;
    const wrong = statusesOf(model, this.#use).filter((status) => status !== Status.success);
    const good =
      wrong.length > 0 ? [] : turnsCacheOff ? flushStatuses(this, model.disks, completion) : [Status.success];
    this.expect(completion, ...wrong, ...good);
    if (completion.status !== Status.success) {
      this.dropped();
      return;
    }
    historyOf(model, this.#use).end(this.#write!, model.now);
    if (turnsCacheOff) for (const disk of model.disks) disk.checkDurable(this.begun, `${this}`);
  }

  override dropped(): void {
    if (this.#write !== null) historyOf(this.model, this.#use).drop(this.#write, this.model.now);
  }
}

/** Get Features, the current value (5.15). */
class GetFeatures extends Pending {
  readonly sqe;
  readonly #use: FeatureUse;

  constructor(model: Model, how: FeatureUse) {
    super(model);
    this.#use = how;
    const { feature, nsid, cdw11, selectMask } = how;
    this.sqe = { opcode: AdminOpcode.getFeatures, nsid, cdw10: feature, cdw11: cdw11 & selectMask };
  }

  override ended(completion: NvmeCompletion): void {
    const { model } = this;
    const { feature } = this.#use;
    const wrong = statusesOf(model, this.#use).filter((status) => status !== Status.success);
    // What cannot be set may be asked for: a power state that there is not.
    this.expect(completion, ...(wrong.length > 0 && feature !== Feature.powerManagement ? wrong : [Status.success]));
    if (completion.status !== Status.success) return;
    const value = (completion.dw0 & this.#use.valueMask) >>> 0;
    const history = historyOf(model, this.#use);
    must(
      history.saw(value, this.begun, model.now),
      () => `${this}: feature ${hex(feature)} is ${hex(value)}, not one of ${history}`,
    );
  }
}

/** Get Features, the default value. */
class GetDefault extends Pending {
  readonly sqe;
  readonly #use: FeatureUse;

  constructor(model: Model, how: FeatureUse) {
    super(model);
    this.#use = how;
    const { feature, nsid, cdw11, selectMask } = how;
    this.sqe = { opcode: AdminOpcode.getFeatures, nsid, cdw10: feature | (1 << 8), cdw11: cdw11 & selectMask };
  }

  override ended(completion: NvmeCompletion): void {
    const { feature, valueMask } = this.#use;
    if (completion.status !== Status.success) return;
    this.model.features.default(feature, selectorOf(this.#use), (completion.dw0 & valueMask) >>> 0);
  }
}

/** Every value that a run may set. */
function allUses(model: Model): FeatureUse[] {
  const thresholds = [0, 1 << 20].map((selector) =>
    use(Feature.temperatureThreshold, selector, { selectMask: 0x3f_0000, valueMask: 0xffff }),
  );
  const vectors = [0, 1, 64].map((vector) => use(Feature.interruptVector, vector, { selectMask: 0xffff }));
  const recovery = model.disks.map(({ nsid }) => use(Feature.errorRecovery, 0, { nsid }));
  const { arbitration, powerManagement, volatileWriteCache, interruptCoalescing, writeAtomicity, asyncEvents } =
    Feature;
  const plain = [arbitration, powerManagement, volatileWriteCache, interruptCoalescing, writeAtomicity, asyncEvents];
  return [...plain.map((feature) => use(feature, 0)), ...thresholds, ...vectors, ...recovery];
}

/** What the features are that have not been set, for the beginning of a run. */
export function askDefaults(model: Model): Pending[] {
  return allUses(model).map((how) => new GetDefault(model, how));
}

/** What they are now, for its end. */
export function askFeatures(model: Model): Pending[] {
  return allUses(model).map((how) => new GetFeatures(model, how));
}

/** Number of Queues (5.27.1.5): not once there are any. */
class SetQueues extends Pending {
  readonly sqe = { opcode: AdminOpcode.setFeatures, cdw10: Feature.numberOfQueues, cdw11: 0x0003_0003 };
  readonly #allowed: boolean;

  constructor(model: Model, allowed: boolean) {
    super(model);
    this.#allowed = allowed;
  }

  override ended(completion: NvmeCompletion): void {
    const any = [...this.model.completion.keys(), ...this.model.submission.keys()].some((id) => id !== 0);
    const meanwhile = any === this.#allowed;
    const { success, commandSequenceError } = Status;
    if (meanwhile) this.expect(completion, success, commandSequenceError);
    else this.expect(completion, this.#allowed ? success : commandSequenceError);
  }
}

export const setFeatures: fc.Arbitrary<Plan> = uses.map((drawn) => ({
  plan: (model) => new SetFeatures(model, drawn),
  toString: () => `setFeatures ${fc.stringify(drawn)}`,
}));

export const getFeatures: fc.Arbitrary<Plan> = uses.map((drawn) => ({
  plan: (model) => new GetFeatures(model, drawn),
  toString: () => `getFeatures ${fc.stringify(drawn)}`,
}));

export const setQueues: fc.Arbitrary<Plan> = fc.constant({
  plan: (model) => {
    const others = [...model.completion.values(), ...model.submission.values()].filter(({ id }) => id !== 0);
    // While one is being created or deleted it may be either.
    if (others.length > 0 && !others.some(({ state }) => state === 'live')) return null;
    if (others.some(({ state }) => state === 'deleting')) return null;
    return new SetQueues(model, others.length === 0);
  },
  toString: () => 'setQueues',
});
