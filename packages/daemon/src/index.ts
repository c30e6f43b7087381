export type { CommonOptions, LogLevel } from './command-line.ts';
export type { ControlClient, ControlError, ControlEvent } from './control/client.ts';
export { openControl } from './control/open-control.ts';
export {
  type ControlRequest,
  type DeviceControl,
  type EventRoute,
  type Metric,
  Refusal,
  type Route,
  type Sample,
  type Schema,
  type Schemas,
} from './control/route.ts';
export { UsageError } from './errors.ts';
export type { PanelPage } from './panel/panel-page.ts';
export { type DaemonContext, type DaemonOptions, packageVersion, runDaemon } from './run-daemon.ts';
export { runTool, type Tool } from './run-tool.ts';
