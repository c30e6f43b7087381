import type { DeviceControl } from '@sidecard/daemon';
import type { Controller } from '../controller.ts';
import { controllerMetrics } from './metrics.ts';
import { namespaceRoutes } from './namespace-routes.ts';

/** What the control socket has of this controller: each file of this folder is a part of it. */
export function control(controller: Controller): DeviceControl {
  return {
    routes: [...namespaceRoutes(controller)],
    metrics: [...controllerMetrics(controller)],
  };
}
