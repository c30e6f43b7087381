import { HealthEvent } from '../admin/events.ts';
import { announcedNotices } from '../admin/identify-records.ts';
import { Feature as FeatureId } from '../command/commands.ts';
import type { Controller } from '../controller.ts';
import { ErrorRecovery } from './error-recovery.ts';
import { type Feature, featureColumns, WordFeature } from './feature.ts';
import { HostBehavior, HostIdentifier } from './host-features.ts';
import { InterruptVectors } from './interrupt-vectors.ts';
import { NumberOfQueues } from './number-of-queues.ts';
import { PowerManagement } from './power-management.ts';
import { TemperatureThresholds } from './temperature.ts';
import { Timestamp } from './timestamp.ts';

/** Identifiers below it have their values in one table. */
const wordFeatures = 32;

/** Recommended Arbitration Burst (RAB), which "no limit" is too: a power of two. */
export const mostBurst = 5;

/** Asynchronous event configuration: a bit for each critical warning (bits 5:0), and for each notice of OAES. */
const criticalWarnings = 0x3f;
const temperatureWarnings = 1 << 1;
const reliabilityWarnings = 1 << 2;

/** What can be set (NVMe Base 2.0, 5.27), and what it decides. */
export class Features {
  readonly #controller: Controller;
  readonly #all: ReadonlyMap<number, Feature>;
  readonly arbitration: WordFeature;
  readonly coalescing: WordFeature;
  readonly events: WordFeature;
  readonly cache: WordFeature;
  readonly vectors: InterruptVectors;
  readonly temperature: TemperatureThresholds;
  readonly recovery: ErrorRecovery;
  readonly timestamp: Timestamp;

  constructor(controller: Controller) {
    const { state, clock } = controller.host;
    const { value } = state.table('nvme/feature', featureColumns, wordFeatures);
    this.#controller = controller;
    // No limit of a burst (AB 111b), and no weights.
    this.arbitration = new WordFeature(value, FeatureId.arbitration, 0xffff_ff07, 7);
    this.coalescing = new WordFeature(value, FeatureId.interruptCoalescing, 0xffff);
    this.events = new WordFeature(value, FeatureId.asyncEvents, criticalWarnings | announcedNotices);
    this.cache = new WordFeature(value, FeatureId.volatileWriteCache, 1, 1);
    this.vectors = new InterruptVectors(state);
    this.temperature = new TemperatureThresholds(state);
    this.recovery = new ErrorRecovery(state, controller.namespaces.limit);
    this.timestamp = new Timestamp(state, clock);
    this.#all = new Map<number, Feature>([
      [FeatureId.arbitration, this.arbitration],
      [FeatureId.powerManagement, new PowerManagement(value)],
      [FeatureId.temperatureThreshold, this.temperature],
      [FeatureId.errorRecovery, this.recovery],
      [FeatureId.volatileWriteCache, this.cache],
      [FeatureId.numberOfQueues, new NumberOfQueues(controller.queues)],
      [FeatureId.interruptCoalescing, this.coalescing],
      [FeatureId.interruptVector, this.vectors],
      [FeatureId.writeAtomicity, new WordFeature(value, FeatureId.writeAtomicity, 1)],
      [FeatureId.asyncEvents, this.events],
      [FeatureId.timestamp, this.timestamp],
      [FeatureId.hostBehavior, new HostBehavior(state)],
      [FeatureId.hostIdentifier, new HostIdentifier(state)],
    ]);
    if (!state.inherited) this.reset();
  }

  /** A controller-level reset: nothing is kept over it, but the time. */
  reset(): void {
    for (const feature of this.#all.values()) feature.reset();
  }

  /** Those there are. Without a volatile cache there is no switch for it. */
  get ids(): readonly number[] {
    return [...this.#all.keys()].filter((id) => this.find(id) !== null);
  }

  find(id: number): Feature | null {
    if (id === FeatureId.volatileWriteCache && !this.#controller.hasVolatileCache) return null;
    return this.#all.get(id) ?? null;
  }

  /** The namespace has been deleted: the next with its nsid begins anew. */
  forgetNamespace(nsid: number): void {
    this.recovery.forget(nsid);
  }

  /** Commands of one queue in a row, before the others and the reactor have their turn (AB; NVMe Base 2.0, 3.4.4). */
  get burst(): number {
    const exponent = this.arbitration.value & 7;
    return exponent >= mostBurst ? 1 << mostBurst : 1 << exponent;
  }

  /** The guest wants its writes durable when they complete. */
  get writeThrough(): boolean {
    return (this.cache.value & 1) === 0;
  }

  /** Of which critical warnings the guest wants to hear, a bit each by the information of the event. */
  get healthEvents(): number {
    const { value } = this.events;
    const reliability = (value & reliabilityWarnings) === 0 ? 0 : 1 << HealthEvent.reliability;
    return (value & temperatureWarnings) === 0 ? reliability : reliability | (1 << HealthEvent.temperature);
  }
  /** The same of notices. */
  get noticeEvents(): number {
    return this.events.value >>> 8;
  }
}
