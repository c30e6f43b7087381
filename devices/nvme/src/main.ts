import { checkDistinct, openDrives, parseDrive } from '@sidecard/block';
import { packageVersion, runDaemon } from '@sidecard/daemon';
import { Controller } from './controller.ts';
import { createDoorbellPage } from './doorbell-page.ts';
import { doorbellsHelp, driveHelp } from './help.ts';

interface Options {
  readonly drive: readonly string[];
  readonly doorbells: string;
}

const version = packageVersion(import.meta.url);

await runDaemon<Options>({
  name: 'sidecard-nvme',
  description: 'An NVMe controller for virtual machines, attached over a vfio-user socket.',
  version,
  options: (program) => {
    const collect = (drive: string, drives: readonly string[] = []) => [...drives, drive];
    program.requiredOption('--drive <drive>', driveHelp, collect);
    program.addOption(
      program.createOption('--doorbells <how>', doorbellsHelp).choices(['trapped', 'mapped']).default('trapped'),
    );
  },
  create: ({ drive, doorbells }, { native, instance }) => {
    const drives = drive.map(parseDrive);
    checkDistinct(drives);
    return (host) =>
      new Controller(host, {
        drives: openDrives(drives, { native, log: host.log, clock: host.clock, instance }).map((backend, index) => ({
          backend,
          lbaBytes: drives[index]!.lba ?? 512,
        })),
        serial: drives[0]?.serial ?? null,
        firmwareRevision: version,
        doorbellPage: doorbells === 'mapped' ? createDoorbellPage(native) : null,
      });
  },
});
