/** Serves exercisers as the functions of one device: their socket paths are the arguments, function 0 last, with pins A to D. */
import { serveBus } from '@sidecard/core';
import { loadNative } from '@sidecard/native';
import { Exerciser } from './exerciser.ts';

const pins = ['A', 'B', 'C', 'D'] as const;
const quiet = () => {};
const log = {
  debug: quiet,
  info: quiet,
  warn: quiet,
  error: (fields: object, message: string) => console.error(message, fields),
};
const told = new Promise((resolve) => process.once('SIGTERM', resolve));
const native = loadNative();
const paths = process.argv.slice(2);
const bus = await serveBus(
  { log, native },
  paths.map((socketPath, index) => {
    const number = paths.length - 1 - index;
    return { device: 4, number, at: { socketPath }, create: (host) => new Exerciser(host, native, pins[number % 4]) };
  }),
);
await told;
await bus.close();
