import type { BlockBackend, DriveHost } from '@sidecard/block';
import type { Host, MappableMemory } from '@sidecard/core';
import type { Native } from '@sidecard/native';
import type { NvmeDriverOptions } from '@sidecard/testing';
import { Controller, type ControllerOptions } from '../src/index.ts';
import { TestDrive } from './test-drive.ts';

/** Guest memory mapped into the device, with a drive that ends in line; or behind messages, with everything late and out of order. */
export const ways = ['mapped', 'messages'] as const;
export type Way = (typeof ways)[number];

/** Of a machine with an NVMe controller: of the controller, and of its driver. */
export interface MachineOptions extends NvmeDriverOptions {
  readonly drives?: readonly TestDrive[];
  /** What the namespaces are of, instead of the drives themselves. */
  readonly wrap?: (drive: TestDrive, host: DriveHost) => BlockBackend;
  readonly lbaBytes?: 512 | 4096 | null;
  readonly fixedFormat?: boolean;
  readonly controller?: Partial<ControllerOptions>;
  readonly doorbellPage?: (native: Native) => MappableMemory;
  readonly ramBytes?: number;
}

/** What the options come to. */
export interface MachineParts {
  readonly drives: readonly TestDrive[];
  readonly ram: { readonly sizeBytes?: number };
  readonly driver: NvmeDriverOptions;
  create(host: Host, native: Native): Controller;
}

export function machineParts(way: Way, options: MachineOptions): MachineParts {
  const {
    drives = [new TestDrive(1 << 20)],
    wrap = (drive: TestDrive): BlockBackend => drive,
    lbaBytes = null,
    fixedFormat = false,
    controller: more,
    doorbellPage,
    ramBytes,
    ...driver
  } = options;
  if (way === 'messages') for (const drive of drives) drive.slow = true;
  return {
    drives,
    ram: ramBytes === undefined ? {} : { sizeBytes: ramBytes },
    driver,
    create: (host, native) => {
      const namespaces = drives.map((drive) => ({ backend: wrap(drive, { ...host, native }), lbaBytes, fixedFormat }));
      return new Controller(host, { drives: namespaces, doorbellPage: doorbellPage?.(native) ?? null, ...more });
    },
  };
}
