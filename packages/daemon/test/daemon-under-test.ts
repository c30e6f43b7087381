import { execFileSync } from 'node:child_process';
import { open } from 'node:fs/promises';
import { runDaemon } from '../src/index.ts';

/** A daemon with a device that does nothing but what its argument says about SIGHUP: `reload`, `fails`, `hangs` (in a file system) or `none`. */
await runDaemon<{ hangup: string }>({
  name: 'sidecard-test',
  description: 'A device for tests.',
  version: '0.0.0',
  options: (program) => {
    program.requiredOption('--hangup <how>', 'what SIGHUP does');
  },
  create:
    ({ hangup, socket }) =>
    (host) => {
      const identity = { vendor: 0x1234, device: 0x11e8, classCode: 0xff0000, interrupts: {} };
      const device = { identity, bars: {}, reset: () => {} };
      const reload = () => {
        if (hangup === 'fails') throw new Error('no such\nluck');
        if (hangup === 'hangs') {
          execFileSync('mkfifo', [`${socket}.fifo`]);
          // Who opens a pipe waits for the other end.
          void open(`${socket}.fifo`);
        }
        host.defer(() => host.log.info({}, 'looked again'));
      };
      return hangup === 'none' ? device : { ...device, reload };
    },
});
