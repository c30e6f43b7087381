import { openDrive, parseDrive } from '@sidecard/block';
import { packageVersion, runDaemon } from '@sidecard/daemon';
import { Controller } from './controller.ts';
import { createDoorbellPage } from './doorbell-page.ts';

interface Options {
  readonly drive: readonly string[];
  readonly doorbells: string;
}

const doorbellsHelp =
  'trapped (costs nothing when idle), or mapped: a page for drivers that poll; looked at all the time with --poll, else at least every 1 ms when idle';
const driveHelp =
  'a namespace: an image or block device, mem:SIZE or null:SIZE, with options size=, cache=writeback|writethrough|none, readonly, lba=512|4096, serial=, discard=; may be repeated';

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
    return (host) =>
      new Controller(host, {
        drives: drives.map((options) => ({
          backend: openDrive(options, { native, log: host.log, instance }),
          lbaBytes: options.lba,
        })),
        serial: drives[0]?.serial ?? null,
        firmwareRevision: version,
        doorbellPage: doorbells === 'mapped' ? createDoorbellPage(native) : null,
      });
  },
});
