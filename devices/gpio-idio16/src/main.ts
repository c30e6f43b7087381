import { packageVersion, runDaemon } from '@sidecard/daemon';
import { Idio16 } from './card.ts';

interface Options {
  readonly loopback?: boolean;
}

await runDaemon<Options>({
  name: 'sidecard-gpio-idio16',
  description: 'An ACCES PCI-IDIO-16 GPIO card for virtual machines, attached over a vfio-user socket.',
  version: packageVersion(import.meta.url),
  options: (program) => {
    program.option('--loopback', 'wire each output to the input of its number');
  },
  create:
    ({ loopback = false }) =>
    (host) =>
      new Idio16(host, { loopback }),
});
