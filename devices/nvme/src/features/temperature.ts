import type { StateArena } from '@sidecard/core';
import type { Command } from '../command/command.ts';
import { type Failure, Field, mistake, Status } from '../status.ts';
import { Feature } from './feature.ts';

/** Composite temperature of a drive that has none, kelvin: 38 degrees Celsius. WCTEMP and CCTEMP are its thresholds. */
export const temperatureKelvin = 311;
export const warningKelvin = 343;
export const criticalKelvin = 353;

/** THSEL: which of the two thresholds. */
const Threshold = { over: 0, under: 1 } as const;
const thresholdColumns = { kelvin: 'u16' } as const;

const wrongSensor = mistake(Status.invalidField, Field.cdw11 + 2, 0);
const wrongThreshold = mistake(Status.invalidField, Field.cdw11 + 2, 4);

/** Temperature Threshold (04h; NVMe Base 2.0, 5.27.1.3), of the composite temperature: there are no sensors besides. */
export class TemperatureThresholds extends Feature {
  readonly #kelvin;

  constructor(state: StateArena) {
    super();
    this.#kelvin = state.table('nvme/feature/temperature', thresholdColumns, 2).kelvin;
  }

  /** The temperature, which never changes, is at or beyond a threshold. */
  get alarm(): boolean {
    return temperatureKelvin >= this.#kelvin[Threshold.over]! || temperatureKelvin <= this.#kelvin[Threshold.under]!;
  }

  /** TMPSEL is 0, or to set Fh: all sensors that there are. */
  override check(command: Command, select: number | null): Failure {
    const { cdw11 } = command.sqe;
    const sensor = (cdw11 >>> 16) & 0xf;
    if (sensor !== 0 && (sensor !== 0xf || select !== null)) return wrongSensor;
    return selected(cdw11) > Threshold.under ? wrongThreshold : Status.success;
  }
  current(command: Command): number {
    return this.#kelvin[selected(command.sqe.cdw11)]!;
  }
  initial(command: Command): number {
    return selected(command.sqe.cdw11) === Threshold.over ? warningKelvin : 0;
  }
  set(command: Command): Failure {
    const { cdw11 } = command.sqe;
    this.#kelvin[selected(cdw11)] = cdw11 & 0xffff;
    return Status.success;
  }
  reset(): void {
    this.#kelvin[Threshold.over] = warningKelvin;
    this.#kelvin[Threshold.under] = 0;
  }
}

function selected(cdw11: number): number {
  return (cdw11 >>> 20) & 3;
}
