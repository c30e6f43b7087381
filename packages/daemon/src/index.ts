export type { CommonOptions, LogLevel } from './command-line.ts';
export { UsageError } from './errors.ts';
export { type DaemonContext, type DaemonOptions, packageVersion, runDaemon } from './run-daemon.ts';
