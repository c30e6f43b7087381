import type { HostBuffer } from '@sidecard/core';
import type { Command } from '../command/command.ts';
import { allNamespaces, LogPage, nvmCommandSet } from '../command/commands.ts';
import type { OpcodeTable } from '../command/opcode.ts';
import { send } from '../command/transfer.ts';
import type { Controller } from '../controller.ts';
import { temperatureKelvin } from '../features/temperature.ts';
import { errorLogEntries, maxTransferBytes } from '../limits.ts';
import { type Failure, Field, mistake, Status } from '../status.ts';

interface Log {
  readonly sizeBytes: number;
  /** Fills `page`, which is zeroes. */
  readonly fill: (controller: Controller, page: HostBuffer) => void;
}

/** Scope of a command or feature (figure 211, bits 31:20): a namespace, or the controller. */
const namespaceScope = 1 << 20;
const controllerScope = 1 << 21;
/** Supported, in the logs of what there is. */
const supported = 1 << 0;

const logs: { readonly [id: number]: Log } = {
  [LogPage.supported]: { sizeBytes: 1024, fill: fillSupported },
  [LogPage.error]: { sizeBytes: errorLogEntries * 64, fill: fillErrors },
  [LogPage.health]: { sizeBytes: 512, fill: fillHealth },
  [LogPage.firmware]: { sizeBytes: 512, fill: fillFirmware },
  [LogPage.changedNamespaces]: { sizeBytes: 4096, fill: (controller, page) => controller.changed.fill(page) },
  [LogPage.commandEffects]: { sizeBytes: 4096, fill: fillEffects },
  [LogPage.supportedFeatures]: { sizeBytes: 1024, fill: fillFeatures },
  // NVMe-MI commands: none. It is here since LPA bit 5 promises it.
  [LogPage.supportedManagement]: { sizeBytes: 4096, fill: () => {} },
};

/** OT in dword 14. */
const indexOffset = 1 << 23;
const noLog = mistake(Status.invalidLogPage, Field.cdw10);
const notOfNamespace = mistake(Status.invalidField, Field.nsid);
const tooLong = mistake(Status.invalidField, Field.cdw10 + 2);
const wrongOffset = mistake(Status.invalidField, Field.cdw12);
const noIndexOffset = mistake(Status.invalidField, Field.cdw14 + 2, 7);
const otherCommandSet = mistake(Status.commandSetUnsupported, Field.cdw14 + 3);

/** Get Log Page (NVMe Base 2.0, 5.16). */
export function getLogPage(controller: Controller, command: Command): boolean {
  const { cdw10, cdw11, cdw12, cdw13 } = command.sqe;
  const id = cdw10 & 0xff;
  const lengthBytes = ((cdw10 >>> 16) + (cdw11 & 0xffff) * 0x1_0000 + 1) * 4;
  if (command.step === 0) {
    const log = logs[id];
    const offset = cdw12 + cdw13 * 0x1_0000_0000;
    const failure = check(command, log, offset, lengthBytes);
    if (log === undefined || failure !== Status.success) return command.fail(failure);
    const { payload } = command;
    payload.bytes.fill(0);
    // What changes while it is on its way to the guest has not been read.
    command.cursor = id === LogPage.changedNamespaces ? controller.changed.last : controller.events.raised;
    log.fill(controller, payload);
    payload.bytes.copyWithin(0, offset);
    payload.bytes.fill(0, payload.lengthBytes - offset);
  }
  if (!send(controller, command, command.payload, lengthBytes)) return false;
  const retain = (cdw10 & (1 << 15)) !== 0;
  if (command.status === Status.success && !retain) {
    if (id === LogPage.changedNamespaces) controller.changed.clear(command.cursor);
    controller.events.read(id, command.cursor);
  }
  return true;
}

/** All logs here are of the controller, so none is by namespace (LPA bit 0 clear), and none has offsets by index. */
function check(command: Command, log: Log | undefined, offset: number, lengthBytes: number): Failure {
  const { cdw10, cdw14 } = command.sqe;
  if (log === undefined) return noLog;
  if (command.nsid !== 0 && command.nsid !== allNamespaces) return notOfNamespace;
  if ((cdw14 & indexOffset) !== 0) return noIndexOffset;
  if (offset % 4 !== 0 || offset > log.sizeBytes) return wrongOffset;
  if ((cdw10 & 0xff) === LogPage.commandEffects && cdw14 >>> 24 !== nvmCommandSet) return otherCommandSet;
  return lengthBytes > maxTransferBytes ? tooLong : Status.success;
}

/** 00h (5.16.1.1). */
function fillSupported(_controller: Controller, page: HostBuffer): void {
  for (const id of Object.keys(logs)) page.view.setUint32(4 * Number(id), supported, true);
}

/** 01h (5.16.1.2): newest first. */
function fillErrors(controller: Controller, page: HostBuffer): void {
  for (let age = 0; age < errorLogEntries; age++) {
    const entry = controller.errors.entry(age);
    if (entry === null) return;
    page.bytes.set(entry, 64 * age);
  }
}

/** 02h (5.16.1.3). */
function fillHealth(controller: Controller, page: HostBuffer): void {
  const { view } = page;
  const { rows } = controller.health;
  /** A counter of 16 bytes. */
  const count = (offset: number, value: number) => {
    view.setUint32(offset, value % 0x1_0000_0000, true);
    view.setUint32(offset + 4, Math.floor(value / 0x1_0000_0000), true);
  };
  /** Thousands of 512 bytes, rounded up. */
  const units = (lengthBytes: number) => Math.ceil(lengthBytes / 512_000);
  view.setUint8(0, controller.health.criticalWarning);
  view.setUint16(1, temperatureKelvin, true);
  view.setUint8(3, 100); // available spare, percent
  view.setUint8(4, 10); // its threshold
  count(32, units(rows.readBytes[0]!));
  count(48, units(rows.writtenBytes[0]!));
  count(64, rows.readCommands[0]!);
  count(80, rows.writeCommands[0]!);
  count(96, controller.health.busy.minutes);
  count(112, rows.powerCycles[0]!);
  count(128, Math.floor((controller.host.clock.wallTime() - rows.startedMs[0]!) / 3_600_000));
  count(144, rows.unsafeShutdowns[0]!);
  count(160, rows.mediaErrors[0]!);
  count(176, controller.errors.count);
}

/** 03h (5.16.1.4): slot 1 is active. */
function fillFirmware(controller: Controller, page: HostBuffer): void {
  page.view.setUint8(0, 1);
  page.bytes.set(Buffer.from(controller.firmwareRevision.padEnd(8)), 8);
}

/** 05h (5.16.1.6). I/O commands report no scope, which they may: Linux warns of effects that it does not expect there. */
function fillEffects(controller: Controller, page: HostBuffer): void {
  const fill = (table: OpcodeTable, offset: number, scope: number) => {
    table.forEach((opcode, code) => {
      if (opcode !== null) page.view.setUint32(offset + 4 * code, supported | opcode.effects | scope, true);
    });
  };
  fill(controller.opcodes.admin, 0, controllerScope);
  fill(controller.opcodes.io, 1024, 0);
  if (!controller.offersShadowDoorbells) page.view.setUint32(4 * 0x7c, 0, true);
}

/** 12h (5.16.1.17). */
function fillFeatures(controller: Controller, page: HostBuffer): void {
  for (const id of controller.features.ids) {
    const scope = controller.features.find(id)!.ofNamespace ? namespaceScope : controllerScope;
    page.view.setUint32(4 * id, supported | scope, true);
  }
}
