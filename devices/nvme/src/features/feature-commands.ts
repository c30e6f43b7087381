import type { Command } from '../command/command.ts';
import { allNamespaces, Feature as FeatureId } from '../command/commands.ts';
import { receive, send, transferred } from '../command/transfer.ts';
import type { Controller } from '../controller.ts';
import { flushDrives } from '../io/flush.ts';
import { type Failure, Field, mistake, Status } from '../status.ts';
import { type Feature, Select } from './feature.ts';

/** Capabilities (NVMe Base 2.0, figure 194): the value can be changed; it belongs to a namespace. Nothing is saveable. */
const changeable = 1 << 2;
const namespaceSpecific = 1 << 1;

const noFeature = mistake(Status.invalidField, Field.cdw10);
const noSelect = mistake(Status.invalidField, Field.cdw10 + 1);
const notSaveable = mistake(Status.featureNotSaveable, Field.cdw10 + 3, 7);
const notOfNamespace = mistake(Status.featureNotNamespaceSpecific, Field.nsid);
const wrongNamespace = mistake(Status.invalidNamespace, Field.nsid);

/** Set Features (NVMe Base 2.0, 5.27). A cache that is turned off is flushed before the answer. */
export function setFeatures(controller: Controller, command: Command): boolean {
  const id = command.sqe.cdw10 & 0xff;
  const feature = controller.features.find(id);
  if (command.step < transferred) {
    if (command.step === 0) {
      const failure = checkSet(controller, command, feature);
      if (failure !== Status.success) return command.fail(failure);
    }
    const lengthBytes = feature!.dataBytes(command);
    if (lengthBytes > 0) {
      if (!receive(controller, command, lengthBytes)) return false;
      if (command.status !== Status.success) return true;
    }
    const failure = feature!.set(command);
    if (failure !== Status.success) return command.fail(failure);
    // Warnings may be wanted now that were not, or thresholds be passed.
    if (id === FeatureId.asyncEvents || id === FeatureId.temperatureThreshold) controller.health.warn();
    if (id !== FeatureId.volatileWriteCache) return true;
    if (!controller.features.writeThrough) {
      controller.volatileWrites.wake();
      return true;
    }
    command.step = transferred;
  }
  if (command.step === transferred) {
    if (!controller.volatileWrites.settled(command)) return false;
    command.step = transferred + 1;
  }
  return flushDrives(controller, command, 'allocated');
}

/** Get Features (5.15). */
export function getFeatures(controller: Controller, command: Command): boolean {
  const { cdw10 } = command.sqe;
  const feature = controller.features.find(cdw10 & 0xff);
  const select = (cdw10 >>> 8) & 7;
  if (command.step === 0) {
    const failure = checkGet(controller, command, feature, select);
    if (failure !== Status.success) return command.fail(failure);
    command.payload.bytes.fill(0);
    command.result = selected(command, feature!, select);
  }
  const lengthBytes = select === Select.capabilities ? 0 : feature!.dataBytes(command);
  return lengthBytes === 0 ? true : send(controller, command, command.payload, lengthBytes);
}

function selected(command: Command, feature: Feature, select: number): number {
  switch (select) {
    case Select.current:
      return feature.current(command);
    case Select.capabilities:
      return changeable | (feature.ofNamespace ? namespaceSpecific : 0);
    default:
      // Saved values are the defaults where nothing has been saved (4.4).
      return feature.initial(command);
  }
}

/** 4.4: of the controller with nsid 0 or FFFFFFFFh, and of a namespace with its nsid; set for all of them with FFFFFFFFh. */
function checkSet(controller: Controller, command: Command, feature: Feature | null): Failure {
  const { namespaces } = controller;
  const { nsid } = command;
  if (command.sqe.cdw10 >>> 31 !== 0) return notSaveable;
  if (feature === null) return noFeature;
  const all = nsid === allNamespaces;
  if (feature.ofNamespace) {
    if (!all && namespaces.active(nsid) === null) return namespaces.missing(nsid);
  } else if (nsid !== 0 && !all) {
    return nsid <= namespaces.limit ? notOfNamespace : wrongNamespace;
  }
  return feature.check(command, null);
}

function checkGet(controller: Controller, command: Command, feature: Feature | null, select: number): Failure {
  const { namespaces } = controller;
  if (feature === null) return noFeature;
  if (select > Select.capabilities) return noSelect;
  if (select === Select.capabilities) return Status.success;
  if (feature.ofNamespace && namespaces.active(command.nsid) === null) return namespaces.missing(command.nsid);
  return feature.check(command, select);
}
