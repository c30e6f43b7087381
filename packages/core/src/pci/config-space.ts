import type { Accessible } from '../bits/accessible.ts';
import type { HostBuffer } from '../bits/host-buffer.ts';
import type { Declaration, Fragment, PlacedFragment } from '../bits/register.ts';
import type { RegisterValues } from '../bits/register-file.ts';
import { type RegisterMap, registers } from '../bits/register-map.ts';
import type { Bar } from './bar.ts';
import * as capability from './capability.ts';
import type { PciIdentity } from './device.ts';
import { header } from './header.ts';

type Values<F> = F extends Fragment<infer D> ? RegisterValues<D> : never;

/** The registers of config space, by fragment: the capabilities that the function has not are missing. */
export interface ConfigRegisters extends Accessible {
  readonly header: Values<ReturnType<typeof header>>;
  readonly powerManagement?: Values<ReturnType<typeof capability.powerManagement>>;
  readonly msi?: Values<ReturnType<typeof capability.messageSignalled>>;
  readonly msix?: Values<ReturnType<typeof capability.messageTable>>;
  readonly express?: Values<ReturnType<typeof capability.express>>;
  readonly advancedErrorReporting?: Values<ReturnType<typeof capability.advancedErrorReporting>>;
  readonly serialNumber?: Values<ReturnType<typeof capability.serialNumber>>;
  reset(): void;
}

/** What config writes have an effect on. */
export interface ConfigHooks {
  commandWritten(): void;
  powerStateWritten(): void;
  messagesWritten(): void;
  functionReset(): void;
  transactionsPending(): boolean;
}

type Make = (next: number) => Fragment;

/** Places capabilities one after the other, each pointing at the next; the answer is where the first one is. */
function chain(
  list: readonly (readonly [string, Make])[],
  firstOffset: number,
  placed: Record<string, PlacedFragment>,
): number {
  let offset = firstOffset;
  for (const [i, [name, make]] of list.entries()) {
    const end = (offset + make(0).sizeBytes + 3) & ~3;
    placed[name] = make(i + 1 < list.length ? end : 0).at(offset);
    offset = end;
  }
  return list.length > 0 ? firstOffset : 0;
}

/** The map of a function's config space: 256 bytes, or 4096 with PCI Express. @throws when the identity makes no sense. */
export function configMap(identity: PciIdentity, bars: { readonly [index: number]: Bar }): RegisterMap {
  for (const [index, bar] of Object.entries(bars)) checkBar(Number(index), bar, bars);
  const { msi, msix } = identity.interrupts;
  const extended = identity.advancedErrorReporting === true || identity.serialNumber !== undefined;
  if (extended && !identity.express) throw new Error('extended capabilities want `express`');
  if (msi !== undefined && ![1, 2, 4, 8, 16, 32].includes(msi)) throw new Error(`${msi} MSI vectors`);
  if (msix && !(msix.vectors >= 1 && msix.vectors <= 2048)) throw new Error(`${msix.vectors} MSI-X vectors`);

  const list: [string, Make][] = [];
  if (identity.powerManagement) list.push(['powerManagement', capability.powerManagement]);
  if (msi) list.push(['msi', (next) => capability.messageSignalled(next, msi)]);
  if (msix) list.push(['msix', (next) => capability.messageTable(next, msix.vectors, msix.table, msix.pba)]);
  if (identity.express) list.push(['express', capability.express]);
  for (const [i, bytes] of (identity.vendorSpecific ?? []).entries()) {
    list.push([`vendorSpecific${i}`, (next) => capability.vendorSpecific(next, bytes)]);
  }
  const extendedList: [string, Make][] = [];
  const { serialNumber } = identity;
  if (identity.advancedErrorReporting) extendedList.push(['advancedErrorReporting', capability.advancedErrorReporting]);
  if (serialNumber) extendedList.push(['serialNumber', (next) => capability.serialNumber(next, serialNumber)]);

  const placed: Record<string, PlacedFragment> = {};
  const first = chain(list, 0x40, placed);
  // Extended capabilities start at 100h; none there reads as zeroes (PCI Express 4.0, 7.6.2).
  chain(extendedList, 0x100, placed);
  return registers(identity.express ? 4096 : 256, {
    header: header(identity, bars, first).at(0),
    ...placed,
  } as Declaration);
}

export function configRegisters(map: RegisterMap, bytes: HostBuffer, hooks: ConfigHooks): ConfigRegisters {
  const messages = { write: () => hooks.messagesWritten() };
  const regs = map.create(bytes, {
    header: { command: { write: () => hooks.commandWritten() } },
    powerManagement: {
      control: {
        write(now: number, was: number) {
          // D1 and D2 are not there: a write of them has no effect (PCI Power Management 1.2, 3.2.4).
          const state = now & 3;
          if (state === 1 || state === 2) regs.powerManagement!.control.powerState = was & 3;
          hooks.powerStateWritten();
        },
      },
    },
    msi: { control: messages, mask: messages },
    msix: { control: messages },
    express: {
      deviceControl: {
        write(now: number) {
          if (now & 0x8000) hooks.functionReset();
        },
      },
      deviceStatus: {
        read() {
          regs.express!.deviceStatus.transactionsPending = hooks.transactionsPending() ? 1 : 0;
        },
      },
    },
  } as never) as unknown as ConfigRegisters;
  return regs;
}

function checkBar(index: number, { kind, sizeBytes }: Bar, bars: { readonly [index: number]: Bar }): void {
  const [least, most] = kind === 'io' ? [4, 256] : [16, kind === 'memory32' ? 2 ** 31 : 2 ** 52];
  if (!(sizeBytes >= least && sizeBytes <= most) || !Number.isInteger(Math.log2(sizeBytes))) {
    throw new Error(`BAR${index}: ${sizeBytes} bytes is no size for ${kind}`);
  }
  const last = kind === 'memory64' ? 4 : 5;
  if (!(index >= 0 && index <= last) || (kind === 'memory64' && bars[index + 1])) {
    throw new Error(`BAR${index}: no room for ${kind}`);
  }
}
