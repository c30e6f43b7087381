import { packageVersion, runDaemon } from '@sidecard/daemon';
import { control } from './control/control.ts';
import { Controller } from './controller.ts';
import { doorbellsHelp, driveHelp, poolHelp } from './help.ts';
import { driveOpener, openBacking, parseBacking } from './namespaces/backing.ts';
import { createDoorbellPage } from './queues/doorbell-page.ts';

interface Options {
  readonly drive?: readonly string[];
  readonly pool?: string;
  readonly doorbells: string;
}

const version = packageVersion(import.meta.url);

await runDaemon<Options, Controller>({
  name: 'sidecard-nvme',
  description: 'An NVMe controller for virtual machines, attached over a vfio-user socket.',
  version,
  options: (program) => {
    const collect = (drive: string, drives: readonly string[] = []) => [...drives, drive];
    program.option('--drive <drive>', driveHelp, collect).option('--pool <pool>', poolHelp);
    program.addOption(
      program.createOption('--doorbells <how>', doorbellsHelp).choices(['trapped', 'mapped']).default('trapped'),
    );
  },
  create: ({ drive, pool, doorbells, control: path }, { native, instance }) => {
    const backing = parseBacking(drive, pool);
    return (host) => {
      const driveHost = { native, log: host.log, clock: host.clock, instance };
      return new Controller(host, {
        ...openBacking(backing, driveHost, host.state),
        openDrive: path === undefined ? null : driveOpener(driveHost),
        serial: backing.drives[0]?.serial ?? null,
        firmwareRevision: version,
        doorbellPage: doorbells === 'mapped' ? createDoorbellPage(native) : null,
      });
    };
  },
  control,
});
