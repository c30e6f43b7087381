import type { Command } from '../command/command.ts';
import { allNamespaces } from '../command/commands.ts';
import type { Controller } from '../controller.ts';
import type { Namespace } from '../namespaces/namespace.ts';
import { Status } from '../status.ts';
import { enterNamespace } from './blocks.ts';

/** Flush (NVMe Base 2.0, 7.1): what was completed before is durable. With nsid FFFFFFFFh of all that are attached (VWC bits 2:1). */
export function flush(controller: Controller, command: Command): boolean {
  const { nsid } = command;
  if (nsid === allNamespaces) return flushDrives(controller, command, 'active');
  if (command.step === 0) {
    const failure = enterNamespace(controller, command);
    if (failure !== Status.success) return command.fail(failure);
    command.step = 1;
    if (!startFlush(command, command.namespace!)) return false;
  }
  endFlush(controller, command, command.namespace!);
  return true;
}

/**
 * Flushes one drive after the other, all that there are, and fails when one does. `command.cursor` is the nsid of the next, times two, plus one while it is
 * under way.
 */
export function flushDrives(controller: Controller, command: Command, which: 'active' | 'allocated'): boolean {
  const { namespaces } = controller;
  while (command.cursor >> 1 <= namespaces.limit) {
    const namespace = command.namespace ?? namespaces[which](command.cursor >> 1);
    if (namespace === null) {
      command.cursor += 2;
      continue;
    }
    if ((command.cursor & 1) === 0) {
      command.cursor++;
      namespace.enter();
      command.namespace = namespace;
      if (!startFlush(command, namespace)) return false;
    }
    command.cursor++;
    command.namespace = null;
    endFlush(controller, command, namespace);
    namespace.leave();
  }
  return true;
}

/** FUA of a command that reads: what it reads is durable first (NVM Command Set 1.0, figures 23, 48 and 55). True when there is nothing to wait for. */
export function beginCommit(command: Command, forced: boolean): boolean {
  return !forced || !command.namespace!.backend.geometry.volatileCache || startFlush(command, command.namespace!);
}

/** False when the command has failed by it. */
export function endCommit(controller: Controller, command: Command, forced: boolean): boolean {
  const { geometry } = command.namespace!.backend;
  return !forced || !geometry.volatileCache || endFlush(controller, command, command.namespace!);
}

/** True when there is nothing to wait for. */
function startFlush(command: Command, namespace: Namespace): boolean {
  const { request } = command;
  request.error = 0;
  if (namespace.readOnly || namespace.flushFailed) return true;
  request.operation = 'flush';
  request.offset = 0;
  request.lengthBytes = 0;
  request.segments = null;
  return namespace.submit(request);
}

/** False when the command has failed. */
function endFlush(controller: Controller, command: Command, namespace: Namespace): boolean {
  const { error } = command.request;
  if (error !== 0) controller.health.flushFailed(namespace, error);
  if (namespace.flushFailed) command.fail(Status.writeFault);
  else if (error !== 0) command.fail(controller.health.driveError('flush', error));
  return error === 0 && !namespace.flushFailed;
}
