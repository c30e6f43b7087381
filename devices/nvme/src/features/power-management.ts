import type { Command } from '../command/command.ts';
import { Feature } from '../command/commands.ts';
import { type Failure, Field, mistake, Status } from '../status.ts';
import { WordFeature } from './feature.ts';

const powerState = 0x1f;
const workloadHint = 0xe0;
const wrongState = mistake(Status.invalidField, Field.cdw11);

/** Power Management (02h; NVMe Base 2.0, 5.27.1.2): power state 0 is the only one, and the hint is kept. */
export class PowerManagement extends WordFeature {
  constructor(values: Uint32Array) {
    super(values, Feature.powerManagement, workloadHint);
  }

  override set(command: Command): Failure {
    return (command.sqe.cdw11 & powerState) === 0 ? super.set(command) : wrongState;
  }
}
