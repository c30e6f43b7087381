import type { DeviceControl } from '@sidecard/daemon';
import type { Controller } from '../controller.ts';
import { additionRoutes } from './additions.ts';
import { attachmentRoutes } from './attachment.ts';
import { failureRoutes } from './failures.ts';
import { limitMetrics, limitRoutes } from './limits.ts';
import { controllerMetrics } from './metrics.ts';
import { namespaceRoutes } from './namespace-routes.ts';
import { removalRoutes } from './removals.ts';
import { sizeRoutes } from './sizes.ts';

/** What the control socket has of this controller: each file of this folder is a part of it. */
export function control(controller: Controller): DeviceControl {
  return {
    routes: [
      ...namespaceRoutes(controller),
      ...additionRoutes(controller),
      ...removalRoutes(controller),
      ...sizeRoutes(controller),
      ...attachmentRoutes(controller),
      ...failureRoutes(controller),
      ...limitRoutes(controller),
    ],
    metrics: [...controllerMetrics(controller), ...limitMetrics(controller)],
  };
}
