import { packageVersion, runDaemon, runTool } from '@sidecard/daemon';
import { Idio16 } from './card.ts';
import { control } from './control.ts';

interface Options {
  readonly loopback?: boolean;
}

const name = 'sidecard-gpio-idio16';
const version = packageVersion(import.meta.url);
const [command, ...args] = process.argv.slice(2);

if (command === 'ctl') {
  const { commands } = await import('./ctl/commands.ts');
  await runTool(
    { name: `${name} ctl`, description: 'Has a hand on the lines of a running card.', version, commands },
    args,
  );
} else {
  await runDaemon<Options, Idio16>({
    name,
    description: 'An ACCES PCI-IDIO-16 GPIO card for virtual machines, attached over a vfio-user socket.',
    version,
    options: (program) => {
      program
        .option('--loopback', 'wire each output to the input of its number')
        .addHelpText('after', `\n${name} ctl --help: reads and sets the lines of a running card`);
    },
    create:
      ({ loopback = false }) =>
      (host) =>
        new Idio16(host, { loopback }),
    control,
    panel: { folder: new URL('../panel/', import.meta.url), routes: ['GET /changes', 'PATCH /inputs'] },
  });
}
