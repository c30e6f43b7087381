import type { Metric } from '@sidecard/daemon';
import type { Controller } from '../controller.ts';

/** What the controller counts anyway, for Prometheus. */
export function controllerMetrics(controller: Controller): Metric[] {
  const { rows } = controller.health;
  const counter = (name: string, help: string, read: () => number): Metric => ({
    name: `sidecard_nvme_${name}_total`,
    type: 'counter',
    help,
    read,
  });
  return [
    counter('media_errors', 'Errors of drives that commands failed with.', () => rows.mediaErrors[0]!),
    counter('error_log_entries', 'Entries made in the error log.', () => controller.errors.count),
  ];
}
