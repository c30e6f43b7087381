import type { Metric, Sample } from '@sidecard/daemon';
import type { Controller } from '../controller.ts';
import { Count, type Namespace } from '../namespaces/namespace.ts';

/** What the controller counts anyway, for Prometheus. Counters of a namespace begin when it is added. */
export function controllerMetrics(controller: Controller): Metric[] {
  const { rows, busy } = controller.health;
  const counter = (name: string, help: string, read: Metric['read']): Metric => ({
    name: `sidecard_nvme_${name}_total`,
    type: 'counter',
    help,
    read,
  });
  const gauge = (name: string, help: string, read: Metric['read']): Metric => ({
    name: `sidecard_nvme_${name}`,
    type: 'gauge',
    help,
    read,
  });
  const each = (value: (namespace: Namespace) => number) => (): Sample[] =>
    controller.namespaces.list.map((namespace) => ({
      labels: { nsid: `${namespace.nsid}`, drive: namespace.backend.description },
      value: value(namespace),
    }));
  const counted = (count: number) => each(({ counts }) => counts[count]!);
  return [
    gauge('ready', '1 while commands are taken: enabled, not failed, not shut down.', () =>
      controller.running ? 1 : 0,
    ),
    gauge('failed', 'CSTS.CFS: 1 when the driver has to reset the controller.', () => controller.registers.csts.cfs),
    gauge('io_queues', 'I/O submission queues.', () => ioQueues(controller)),
    counter('resets', 'Resets of every kind, and clients that have gone.', () => controller.processor.generation),
    counter('failed_commands', 'Commands that have ended with an error.', () => controller.processor.failed),
    counter('error_log_entries', 'Entries made in the error log.', () => controller.errors.count),
    counter('media_errors', 'Errors of drives that commands have failed with.', () => rows.mediaErrors[0]!),
    counter('unsafe_shutdowns', 'Resets of the machine without a shutdown.', () => rows.unsafeShutdowns[0]!),
    counter('busy_seconds', 'Time with commands in an I/O queue, as far as ticks tell.', () => busy.seconds),
    counter('read_commands', 'Reads that have ended, as SMART counts them.', counted(Count.readCommands)),
    counter('write_commands', 'Writes that have ended.', counted(Count.writeCommands)),
    counter('read_bytes', 'What they have read.', counted(Count.readBytes)),
    counter('written_bytes', 'What they have written.', counted(Count.writtenBytes)),
    counter(
      'namespace_failed_commands',
      'Commands in it that have ended with an error.',
      counted(Count.failedCommands),
    ),
    gauge(
      'namespace_commands_in_flight',
      'Commands that are at it.',
      each(({ users }) => users),
    ),
    gauge(
      'namespace_size_bytes',
      'Size of the drive.',
      each(({ backend }) => backend.geometry.sizeBytes),
    ),
    gauge(
      'namespace_attached',
      '1: the guest has it.',
      each(({ attached }) => (attached ? 1 : 0)),
    ),
    gauge(
      'namespace_flush_failed',
      '1: acknowledged data may be lost.',
      each(({ flushFailed }) => (flushFailed ? 1 : 0)),
    ),
    gauge(
      'namespace_stalled',
      '1: has not answered in time (on-stall=error).',
      each(({ backend }) => (backend.stalled ? 1 : 0)),
    ),
  ];
}

function ioQueues({ queues }: Controller): number {
  return queues.active.filter(({ id }) => id !== 0).length;
}
