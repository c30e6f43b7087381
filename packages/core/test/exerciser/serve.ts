/** Serves an exerciser on the socket path in the arguments, in a process of its own: what hostile clients do is counted there. */
import { serve } from '@sidecard/core';
import { loadNative } from '@sidecard/native';
import { Exerciser } from './exerciser.ts';

const quiet = () => {};
const log = {
  debug: quiet,
  info: quiet,
  warn: quiet,
  error: (fields: object, message: string) => console.error(message, fields),
};
const told = new Promise((resolve) => process.once('SIGTERM', resolve));
const drainMs = Number(process.argv[3] ?? 4000);
const native = loadNative();
const server = await serve(
  { at: { socketPath: process.argv[2]! }, log, drainMs, native },
  (host) => new Exerciser(host, native),
);
await told;
await server.close();
