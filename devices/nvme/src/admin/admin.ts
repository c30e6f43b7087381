import type { Command } from '../command/command.ts';
import { AdminOpcode } from '../command/commands.ts';
import {
  alone,
  changesBlocks,
  changesCapabilities,
  changesInventory,
  type OpcodeTable,
  opcodeTable,
} from '../command/opcode.ts';
import type { Controller } from '../controller.ts';
import { getFeatures, setFeatures } from '../features/feature-commands.ts';
import { formatNvm } from '../namespaces/format.ts';
import { attachNamespace } from '../namespaces/namespace-attachment.ts';
import { manageNamespace } from '../namespaces/namespace-management.ts';
import {
  createCompletionQueue,
  createSubmissionQueue,
  deleteCompletionQueue,
  deleteSubmissionQueue,
} from '../queues/queue-commands.ts';
import { shadowBytes } from '../queues/shadow-doorbells.ts';
import { Field, mistake, Status } from '../status.ts';
import { identify } from './identify.ts';
import { getLogPage } from './logs.ts';

/** Opcodes of the admin queue (NVMe Base 2.0, figure 138). OACS says which of the optional ones there are. */
export const adminOpcodes: OpcodeTable = opcodeTable({
  [AdminOpcode.deleteSubmissionQueue]: {
    name: 'Delete I/O SQ',
    replay: { resume: 'step 1: being deleted' },
    effects: 0,
    run: deleteSubmissionQueue,
  },
  [AdminOpcode.createSubmissionQueue]: {
    name: 'Create I/O SQ',
    replay: { resume: 'step 1: checked, and created anew' },
    effects: 0,
    run: createSubmissionQueue,
  },
  [AdminOpcode.getLogPage]: { name: 'Get Log Page', replay: 'again', effects: 0, run: getLogPage },
  [AdminOpcode.deleteCompletionQueue]: {
    name: 'Delete I/O CQ',
    replay: { resume: 'step 1: checked, and deleted as often as need be' },
    effects: 0,
    run: deleteCompletionQueue,
  },
  [AdminOpcode.createCompletionQueue]: {
    name: 'Create I/O CQ',
    replay: { resume: 'step 1: checked, and created anew' },
    effects: 0,
    run: createCompletionQueue,
  },
  [AdminOpcode.identify]: { name: 'Identify', replay: 'again', effects: 0, run: identify },
  [AdminOpcode.abort]: {
    name: 'Abort',
    replay: { resume: 'step 1: takes an event request back' },
    effects: 0,
    run: abort,
  },
  [AdminOpcode.setFeatures]: { name: 'Set Features', replay: 'again', effects: 0, run: setFeatures },
  [AdminOpcode.getFeatures]: { name: 'Get Features', replay: 'again', effects: 0, run: getFeatures },
  [AdminOpcode.asyncEventRequest]: {
    name: 'Asynchronous Event Request',
    replay: { resume: 'step 1: outstanding; step 2: told, the event is in the completion' },
    effects: 0,
    run: asyncEventRequest,
  },
  [AdminOpcode.namespaceManagement]: {
    name: 'Namespace Management',
    replay: 'journaled',
    effects: changesInventory,
    run: manageNamespace,
  },
  [AdminOpcode.namespaceAttachment]: {
    name: 'Namespace Attachment',
    replay: 'journaled',
    effects: changesInventory,
    run: attachNamespace,
  },
  [AdminOpcode.formatNvm]: {
    name: 'Format NVM',
    replay: 'journaled',
    effects: changesBlocks | changesCapabilities | alone,
    run: formatNvm,
  },
  [AdminOpcode.doorbellBufferConfig]: {
    name: 'Doorbell Buffer Config',
    replay: 'again',
    effects: 0,
    run: doorbellBufferConfig,
  },
});

const noQueue = mistake(Status.invalidField, Field.cdw10);
const wrongShadow = mistake(Status.invalidField, Field.prp1);
const wrongEventIndexes = mistake(Status.invalidField, Field.prp2);

/** Abort (5.1): what is at a drive cannot be taken back, and says so in dword 0. An event request can, and what waits for the limits of a drive. */
function abort(controller: Controller, command: Command): boolean {
  const { cdw10 } = command.sqe;
  const queue = controller.queues.submission[cdw10 & 0xffff];
  if (queue === undefined || !queue.created) return command.fail(noQueue);
  const { completions } = queue;
  const possible = queue.id === 0 && completions.hasRoom && controller.events.has(cdw10 >>> 16);
  if (command.step === 0 && !possible) {
    const count = controller.processor.refuseLimited(queue, Status.abortRequested, cdw10 >>> 16);
    command.result = count > 0 ? 0 : 1;
    return true;
  }
  command.step = 1;
  command.result = 0;
  const request = controller.events.withdraw(cdw10 >>> 16);
  if (request === null) return true;
  completions.reserved++;
  request.fail(Status.abortRequested);
  controller.processor.unpark(request);
  return true;
}

/** Asynchronous Event Request (5.2): ends with an event, and holds no completion entry until then. */
function asyncEventRequest(controller: Controller, command: Command): boolean {
  if (command.step !== 0) return true;
  if (!controller.events.accept(command)) return command.fail(Status.asyncEventLimitExceeded);
  command.step = 1;
  command.queue.completions.reserved--;
  controller.wake();
  return controller.processor.park(command);
}

/** Doorbell Buffer Config (5.8): PRP1 is the shadow doorbells, PRP2 the EventIdx. There only while looking costs nothing. */
function doorbellBufferConfig(controller: Controller, command: Command): boolean {
  if (!controller.offersShadowDoorbells) return command.fail(Status.invalidOpcode);
  const { prp1, prp2 } = command;
  if (prp1 % controller.pageBytes !== 0) return command.fail(wrongShadow);
  if (prp2 % controller.pageBytes !== 0) return command.fail(wrongEventIndexes);
  const { data } = command;
  data.begin('toDevice');
  const readable = data.add(prp1, shadowBytes);
  data.release();
  data.begin('toGuest');
  const writable = data.add(prp2, shadowBytes);
  data.release();
  if (!readable || !writable) return command.fail(readable ? wrongEventIndexes : wrongShadow);
  controller.doorbells.shadow.enable(prp1, prp2);
  return true;
}
