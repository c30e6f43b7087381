import type { Command } from './command.ts';
import { allNamespaces, Feature } from './commands.ts';
import type { Controller } from './controller.ts';
import { HealthEvent } from './events.ts';
import { ioQueues, queueCount } from './limits.ts';
import { Status, type StatusCode } from './status.ts';

/** Select field of Get Features (NVMe Base 2.0, figure 192). */
const Select = { current: 0, default: 1, saved: 2, capabilities: 3 } as const;
/** Capabilities (figure 194): the value can be changed; it belongs to a namespace. Nothing is saveable. */
const changeable = 1 << 2;
const namespaceSpecific = 1 << 1;

/** Composite temperature of a drive that has none, kelvin: 38 degrees Celsius. WCTEMP and CCTEMP are its thresholds. */
export const temperatureKelvin = 311;
export const warningKelvin = 343;
export const criticalKelvin = 353;

/** Values by feature id. */
const featureColumns = { value: 'u32' } as const;
/** Interrupt vector configuration (09h) by vector, and temperature thresholds (04h) by type: 0 over, 1 under. */
const vectorColumns = { coalescingDisabled: 'u8' } as const;
const thresholdColumns = { kelvin: 'u16' } as const;
/** Error recovery (05h), by nsid. */
const recoveryColumns = { value: 'u16' } as const;

/** Asynchronous event configuration (0Bh): bits 7:0 are those of the critical warning. */
const temperatureWarnings = 1 << 1;
const reliabilityWarnings = 1 << 2;

const featureIds: readonly number[] = Object.values(Feature);

function defaultValue(feature: number): number {
  switch (feature) {
    // No limit of a burst (AB).
    case Feature.arbitration:
      return 7;
    case Feature.volatileWriteCache:
      return 1;
    case Feature.numberOfQueues:
      return (ioQueues - 1) | ((ioQueues - 1) << 16);
    default:
      return 0;
  }
}

/** Set Features and Get Features (NVMe Base 2.0, 5.17, 5.27), and what they decide. */
export class Features {
  readonly #controller: Controller;
  readonly #values;
  readonly #vectors;
  readonly #thresholds;
  readonly #recovery;

  constructor(controller: Controller) {
    const { state } = controller.host;
    this.#controller = controller;
    this.#values = state.table('nvme/feature', featureColumns, 32);
    this.#vectors = state.table('nvme/feature/vector', vectorColumns, queueCount);
    this.#thresholds = state.table('nvme/feature/temperature', thresholdColumns, 2);
    this.#recovery = state.table('nvme/feature/error-recovery', recoveryColumns, controller.namespaces.limit + 1);
    if (this.#values.value[Feature.numberOfQueues] === 0) this.reset();
  }

  /** Nothing is kept over a controller-level reset. */
  reset(): void {
    this.#values.value.fill(0);
    for (const feature of featureIds) this.#values.value[feature] = defaultValue(feature);
    this.#vectors.coalescingDisabled.fill(0);
    this.#thresholds.kelvin[0] = warningKelvin;
    this.#thresholds.kelvin[1] = 0;
    this.#recovery.value.fill(0);
  }

  /** All features there are. Without a volatile cache there is no switch for it. */
  get ids(): readonly number[] {
    return featureIds.filter((id) => id !== Feature.volatileWriteCache || this.#controller.hasVolatileCache);
  }

  /** The temperature, which never changes, is at or beyond a threshold that the guest has set. */
  get temperatureAlarm(): boolean {
    const { kelvin } = this.#thresholds;
    return temperatureKelvin >= kelvin[0]! || temperatureKelvin <= kelvin[1]!;
  }

  /** The guest wants its writes durable when they complete. */
  get writeThrough(): boolean {
    return (this.#values.value[Feature.volatileWriteCache]! & 1) === 0;
  }

  /** The guest wants to hear of a critical warning; `information` as in the event. */
  healthEvent(information: number): boolean {
    const wanted = information === HealthEvent.temperature ? temperatureWarnings : reliabilityWarnings;
    return (this.#values.value[Feature.asyncEvents]! & wanted) !== 0;
  }
  noticeEvent(information: number): boolean {
    return (this.#values.value[Feature.asyncEvents]! & (1 << (8 + information))) !== 0;
  }

  /** Dword 0 of Get Features' completion, or the error. */
  get(command: Command): StatusCode {
    const { cdw10, cdw11 } = command.sqe;
    const feature = cdw10 & 0xff;
    const select = (cdw10 >>> 8) & 7;
    if (!this.ids.includes(feature) || select > Select.capabilities) return Status.invalidField;
    if (feature === Feature.errorRecovery && !this.#isNamespace(command)) return Status.invalidNamespace;
    if (feature === Feature.interruptVector && (cdw11 & 0xffff) >= queueCount) return Status.invalidField;
    if (feature === Feature.temperatureThreshold && !validThreshold(cdw11)) return Status.invalidField;
    switch (select) {
      case Select.current:
        command.result = this.#current(feature, cdw11, command.nsid);
        break;
      case Select.capabilities:
        command.result = changeable | (feature === Feature.errorRecovery ? namespaceSpecific : 0);
        break;
      default:
        // Saved values are the defaults where nothing can be saved (5.17).
        command.result = this.#default(feature, cdw11);
    }
    return Status.success;
  }

  #current(feature: number, cdw11: number, nsid: number): number {
    if (feature === Feature.errorRecovery) return this.#recovery.value[nsid]!;
    if (feature === Feature.temperatureThreshold) return this.#thresholds.kelvin[(cdw11 >>> 20) & 3]!;
    if (feature !== Feature.interruptVector) return this.#values.value[feature]!;
    const vector = cdw11 & 0xffff;
    return vector | (this.#vectors.coalescingDisabled[vector]! << 16);
  }

  #default(feature: number, cdw11: number): number {
    if (feature === Feature.temperatureThreshold) return ((cdw11 >>> 20) & 3) === 0 ? warningKelvin : 0;
    return feature === Feature.interruptVector ? cdw11 & 0xffff : defaultValue(feature);
  }

  /** Stores a value. What else it takes (a flush when a cache is turned off) is the command's. */
  set(command: Command): StatusCode {
    const { cdw10, cdw11 } = command.sqe;
    const feature = cdw10 & 0xff;
    if (cdw10 >>> 31 !== 0) return Status.featureNotSaveable;
    if (!this.ids.includes(feature)) return Status.invalidField;
    const known = this.#isNamespace(command);
    if (command.nsid !== 0 && command.nsid !== allNamespaces && !known) return Status.invalidNamespace;
    if (known && feature !== Feature.errorRecovery) return Status.featureNotNamespaceSpecific;
    const values = this.#values.value;
    switch (feature) {
      case Feature.arbitration:
      case Feature.interruptCoalescing:
      case Feature.writeAtomicity:
        values[feature] = cdw11;
        return Status.success;
      case Feature.asyncEvents:
        values[feature] = cdw11;
        this.#controller.health.warn();
        return Status.success;
      case Feature.powerManagement:
        if ((cdw11 & 0x1f) !== 0) return Status.invalidField; // power state 0 is the only one
        values[feature] = cdw11 & 0xff;
        return Status.success;
      case Feature.temperatureThreshold:
        if (!validThreshold(cdw11)) return Status.invalidField;
        this.#thresholds.kelvin[(cdw11 >>> 20) & 3] = cdw11 & 0xffff;
        this.#controller.health.warn();
        return Status.success;
      case Feature.errorRecovery:
        if (command.nsid === 0) return Status.invalidNamespace;
        // No namespace reports errors of deallocated blocks (NSFEAT bit 2).
        if ((cdw11 & (1 << 16)) !== 0) return Status.invalidField;
        if (known) this.#recovery.value[command.nsid] = cdw11 & 0xffff;
        else this.#recovery.value.fill(cdw11 & 0xffff);
        return Status.success;
      case Feature.volatileWriteCache:
        values[feature] = cdw11 & 1;
        return Status.success;
      case Feature.numberOfQueues:
        return this.#setQueues(command, cdw11);
      case Feature.interruptVector: {
        const vector = cdw11 & 0xffff;
        if (vector >= queueCount) return Status.invalidField;
        this.#vectors.coalescingDisabled[vector] = (cdw11 >>> 16) & 1;
        return Status.success;
      }
      default:
        return Status.invalidField;
    }
  }

  /** 5.27.1.5: as many as there are, whatever was asked for; not once there are any. */
  #setQueues(command: Command, cdw11: number): StatusCode {
    if ((cdw11 & 0xffff) === 0xffff || cdw11 >>> 16 === 0xffff) return Status.invalidField;
    if (this.#controller.queues.anyIo) return Status.commandSequenceError;
    command.result = defaultValue(Feature.numberOfQueues);
    return Status.success;
  }

  #isNamespace(command: Command): boolean {
    return this.#controller.namespaces.active(command.nsid) !== null;
  }
}

/** The composite temperature (TMPSEL 0, or Fh for all sensors), over or under (THSEL). */
function validThreshold(cdw11: number): boolean {
  const sensor = (cdw11 >>> 16) & 0xf;
  return (sensor === 0 || sensor === 0xf) && ((cdw11 >>> 20) & 3) <= 1;
}
