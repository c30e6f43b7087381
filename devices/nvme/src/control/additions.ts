import { type DriveOptions, fileIdentity, parseDrive } from '@sidecard/block';
import { type ControlRequest, Refusal, type Route } from '@sidecard/daemon';
import type { Controller } from '../controller.ts';
import type { DriveOpener } from '../namespaces/backing.ts';
import { mostAddedDrives, mostDriveBytes } from '../namespaces/drive-changes.ts';
import { resumeFormat } from '../namespaces/format-job.ts';
import type { Namespace } from '../namespaces/namespace.ts';
import { describeNamespace, namespaceSchema } from './namespace-record.ts';
import { reach } from './reach.ts';
import { ending, refused } from './refused.ts';

interface NewNamespace {
  /** As after `--drive`. */
  readonly drive: string;
  readonly nsid?: number;
  readonly attached?: boolean;
}

const body = {
  type: 'object',
  properties: {
    drive: { type: 'string', maxLength: mostDriveBytes, description: 'As after --drive at the command line.' },
    nsid: {
      type: 'integer',
      minimum: 1,
      description: 'Unless given, the lowest that is free, and of which the guest has no change to read.',
    },
    attached: { type: 'boolean', description: 'Whether the guest is to have it at once; true unless given.' },
  },
  required: ['drive'],
  additionalProperties: false,
};

/** Drives added while the guest runs. */
export function additionRoutes(controller: Controller): Route[] {
  const { openDrive } = controller;
  if (openDrive === null) return [];
  let last: Promise<void> = Promise.resolve();
  return [
    {
      method: 'POST',
      path: '/namespaces',
      summary: 'Adds a drive, as --drive does. Answers its namespace.',
      body,
      answer: namespaceSchema,
      refusals: {
        409: 'The drive cannot be had, or there is no such nsid to be had.',
        507: 'There is no room for it.',
        503: 'The daemon ends.',
      },
      handle: async ({ body }: ControlRequest<NewNamespace>) => {
        const drive = parsed(body.drive);
        // One after the other: where a file system hangs, it has no more than one of the threads that all share.
        last = last.then(() => reach(drive));
        await last;
        return describeNamespace(await controller.jobs.inTurn(async () => add(controller, openDrive, drive, body)));
      },
    },
  ];
}

/** @throws Refusal 400 */
function parsed(text: string): DriveOptions {
  if (Buffer.byteLength(text) > mostDriveBytes) throw new Refusal(400, `drive is longer than ${mostDriveBytes} bytes`);
  try {
    return parseDrive(text);
  } catch (error) {
    throw refused(error);
  }
}

/** All of it between two turns of the device. */
function add(controller: Controller, openDrive: DriveOpener, drive: DriveOptions, wanted: NewNamespace): Namespace {
  const { namespaces, driveChanges, changed, jobs, host } = controller;
  if (jobs.stopping) throw ending;
  const nsid = freeNsid(controller, wanted.nsid);
  for (const other of namespaces.list) checkOther(other, drive);
  if (driveChanges.full) throw new Refusal(409, `${mostAddedDrives} drives have been added, as many as there can be`);
  const namespace = opened(controller, openDrive, drive, nsid);
  driveChanges.add(nsid, wanted.drive);
  host.log.info({ nsid, drive: namespace.backend.description }, 'a drive has been added');
  if (wanted.attached ?? true) {
    namespaces.attach(namespace);
    changed.add(nsid);
  }
  if (namespace.notes.content.formatting !== undefined) jobs.run(resumeFormat(controller, namespace));
  return namespace;
}

/** @throws Refusal, with nothing left of it */
function opened({ namespaces }: Controller, openDrive: DriveOpener, drive: DriveOptions, nsid: number): Namespace {
  try {
    const { namespace, discard } = openDrive(drive);
    try {
      return namespaces.add(nsid, namespace);
    } catch (error) {
      discard();
      throw error;
    }
  } catch (error) {
    throw refused(error);
  }
}

/** @throws Refusal */
function freeNsid({ namespaces, changed, running }: Controller, wanted: number | undefined): number {
  const { limit } = namespaces;
  if (wanted === undefined) {
    const free = Array.from({ length: limit }, (_, index) => index + 1).filter(
      (nsid) => namespaces.allocated(nsid) === null,
    );
    const [first] = free;
    if (first === undefined) throw new Refusal(409, `there are ${limit} namespaces, as many as there can be (NN)`);
    // A guest that finds another namespace where it does not know yet that one has gone takes it for a broken one (Linux: "identifiers changed").
    return (running ? free.find((nsid) => !changed.isUnread(nsid)) : first) ?? first;
  }
  if (wanted > limit) throw new Refusal(400, `nsid ${wanted} is more than ${limit}, the largest that there is (NN)`);
  if (namespaces.allocated(wanted) !== null) throw new Refusal(409, `there is a namespace ${wanted}`);
  return wanted;
}

/** @throws Refusal 409 where a guest would take the two for the same: a file, or a serial number, twice. */
function checkOther(other: Namespace, { kind, path, serial }: DriveOptions): void {
  const twice = (what: string) => new Refusal(409, `--drive: ${what} is given twice: namespace ${other.nsid} has it`);
  if (serial !== null && other.drive?.serial === serial) throw twice(`serial=${serial}`);
  if (kind === 'file' && other.file === fileIdentity(path)) throw twice(path);
}
