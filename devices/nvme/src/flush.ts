import { enterNamespace } from './blocks.ts';
import type { Command } from './command.ts';
import { allNamespaces } from './commands.ts';
import type { Controller } from './controller.ts';
import type { Namespace } from './namespace.ts';
import { Status } from './status.ts';

/** Flush (NVMe Base 2.0, 7.1): what was completed before is durable. With nsid FFFFFFFFh of all namespaces (VWC bits 2:1). */
export function flush(controller: Controller, command: Command): boolean {
  const { nsid } = command;
  if (nsid === allNamespaces) return flushDrives(controller, command);
  if (command.step === 0) {
    const failure = enterNamespace(controller, command);
    if (failure !== Status.success) return command.fail(failure);
    command.step = 1;
    if (!startFlush(command, command.namespace!)) return false;
  }
  return endFlush(controller, command, command.namespace!);
}

/** Flushes one drive after the other; `command.cursor` is the nsid of the next, times two, plus one while it is under way. */
export function flushDrives(controller: Controller, command: Command): boolean {
  const { namespaces } = controller;
  while (command.cursor >> 1 <= namespaces.limit) {
    const namespace = command.namespace ?? namespaces.allocated(command.cursor >> 1);
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
    if (command.status !== Status.success) return true;
  }
  return true;
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

function endFlush(controller: Controller, command: Command, namespace: Namespace): true {
  const { error } = command.request;
  if (error !== 0) controller.health.flushFailed(namespace, error);
  if (namespace.flushFailed) return command.fail(Status.writeFault);
  return error === 0 || command.fail(controller.health.driveError('flush', error));
}
