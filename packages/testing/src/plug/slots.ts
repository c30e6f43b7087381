import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Native } from '@sidecard/native';
import { GuestRam } from '../guest-ram.ts';
import type { InProcessServer } from '../in-process.ts';
import type { PciPort } from '../pci/port.ts';
import { VfioUserPort } from '../pci/vfio-user-port.ts';
import { temporaryFolder } from '../process/temporary-folder.ts';
import { QtestMachine } from '../qtest/qtest-machine.ts';
import { SocketTransport } from '../socket-transport.ts';
import type { ClientTransport } from '../transport.ts';
import { VfioUserClient } from '../vfio-user-client.ts';
import { LatePort } from './late-port.ts';
import type { QemuCommand } from './transport.ts';

/** How a device reaches guest memory: mapped, or by messages, which our client answers at once or late and out of order (QEMU as it does). */
export const memoryKinds = ['shared', 'messages', 'late-messages'] as const;
export type MemoryKind = (typeof memoryKinds)[number];

export interface SlotOptions {
  /** Shared unless given. */
  readonly memory?: MemoryKind;
  /** Guest memory, whole pages; 16 MiB unless given; QEMU has more. */
  readonly ramBytes?: number;
}

const RAM_BYTES = 16 * 2 ** 20;
/** What QEMU's q35 has below the hole for devices. */
const mostRamBytes = 2 ** 31 - 2 ** 20;

/** @throws Error when options are none: in JavaScript, or computed. */
export function checkSlotOptions({ memory = 'shared', ramBytes = RAM_BYTES }: SlotOptions): void {
  if (!memoryKinds.includes(memory)) throw new Error(`memory is one of ${memoryKinds.join(', ')}, not ${memory}`);
  if (!(ramBytes > 0 && ramBytes % 4096 === 0 && ramBytes <= mostRamBytes))
    throw new Error(`ramBytes is a multiple of 4096 up to 2 GiB, not ${ramBytes}`);
}

/** A slot of a machine, with the device of a server in it. */
export interface Slot {
  readonly port: PciPort;
  /** Null where QEMU is the client. */
  readonly client: VfioUserClient | null;
  /** Returns when what the device has told its client so far has gone on. */
  settle(): void;
  /** The machine's reset line. */
  reset(): Promise<void>;
  close(): Promise<void>;
}

export function slotInProcess(
  native: Native,
  server: InProcessServer,
  options: SlotOptions,
  turn: () => boolean,
): Slot {
  return clientSlot(native, server.connect(undefined, turn)!, options);
}

/** `turn` gives the server time, if it is one of this process. */
export function slotBySocket(native: Native, path: string, options: SlotOptions, turn?: () => boolean): Slot {
  return clientSlot(native, SocketTransport.connect(native, path, turn), options);
}

/** `turn` gives the server time, if it is one of this process. */
export async function slotOfQemu(
  native: Native,
  path: string,
  { memory = 'shared', ramBytes = RAM_BYTES }: SlotOptions,
  { command, env = {} }: QemuCommand,
  turn?: () => boolean,
): Promise<Slot> {
  const machine = await QtestMachine.start(native, {
    ...{ command, env, sockets: [path] },
    memoryMiB: Math.max(128, Math.ceil(ramBytes / 2 ** 20) + 1),
    sharedMemory: memory === 'shared',
    ...(turn !== undefined && { deviceTurn: turn }),
  });
  const [port] = machine.ports;
  return {
    port: port!,
    client: null,
    settle: () => machine.settle(),
    reset: () => machine.reset(),
    close: () => machine.close(),
  };
}

/** A slot for a server of this process, which listens on a path while it is being connected to. */
export async function slotOfServer(
  server: InProcessServer,
  connect: (path: string) => Slot | Promise<Slot>,
): Promise<Slot> {
  const folder = temporaryFolder();
  try {
    const path = join(folder, 'socket');
    server.listen(path);
    return await connect(path);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function clientSlot(native: Native, transport: ClientTransport, options: SlotOptions): Slot {
  const { memory = 'shared', ramBytes: sizeBytes = RAM_BYTES } = options;
  const client = new VfioUserClient(transport);
  let ram: GuestRam | null = null;
  try {
    client.version();
    ram = memory === 'shared' ? GuestRam.shared(native, { sizeBytes }) : GuestRam.private({ sizeBytes });
    client.mapRam(ram);
  } catch (error) {
    client.close();
    ram?.close();
    throw error;
  }
  const late = memory === 'late-messages';
  if (late) client.wire.dma.hold();
  const port = new (late ? LatePort : VfioUserPort)(native, client, ram);
  return {
    port,
    client,
    settle: () => {},
    reset: async () => client.reset(),
    close: async () => {
      port.close();
      ram?.close();
    },
  };
}
