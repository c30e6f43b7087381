import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Native } from '@sidecard/native';
import { GuestRam } from '../guest-ram.ts';
import type { InProcessServer } from '../in-process.ts';
import type { PciPort } from '../pci/port.ts';
import { VfioUserPort } from '../pci/vfio-user-port.ts';
import { QtestMachine } from '../qtest/qtest-machine.ts';
import { SocketTransport } from '../socket-transport.ts';
import type { ClientTransport } from '../transport.ts';
import { VfioUserClient } from '../vfio-user-client.ts';
import { LatePort } from './late-port.ts';
import type { QemuCommand } from './transport.ts';

/** How a device reaches guest memory: mapped, or by messages, which our client answers at once or late and out of order (QEMU as it does). */
export type MemoryKind = 'shared' | 'messages' | 'late-messages';

export interface SlotOptions {
  readonly memory: MemoryKind;
  readonly ramBytes: number;
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

export function slotInProcess(native: Native, server: InProcessServer, options: SlotOptions): Slot {
  return clientSlot(native, server.connect()!, options);
}

export function slotBySocket(native: Native, server: InProcessServer, options: SlotOptions): Slot {
  const folder = mkdtempSync(join(tmpdir(), 'sidecard-'));
  try {
    const path = join(folder, 'socket');
    server.listen(path);
    return clientSlot(
      native,
      SocketTransport.connect(native, path, () => server.turn()),
      options,
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export async function slotOfQemu(
  native: Native,
  server: InProcessServer,
  { memory, ramBytes, command, env = {} }: SlotOptions & QemuCommand,
): Promise<Slot> {
  const folder = mkdtempSync(join(tmpdir(), 'sidecard-'));
  try {
    const path = join(folder, 'socket');
    server.listen(path);
    const machine = await QtestMachine.start(native, {
      ...{ command, env, sockets: [path] },
      memoryMiB: Math.max(128, Math.ceil(ramBytes / 2 ** 20) + 1),
      sharedMemory: memory === 'shared',
      deviceTurn: () => server.turn(),
    });
    const [port] = machine.ports;
    return {
      port: port!,
      client: null,
      settle: () => machine.settle(),
      reset: () => machine.reset(),
      close: () => machine.close(),
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function clientSlot(native: Native, transport: ClientTransport, { memory, ramBytes }: SlotOptions): Slot {
  const client = new VfioUserClient(transport);
  client.version();
  const ram =
    memory === 'shared' ? GuestRam.shared(native, { sizeBytes: ramBytes }) : GuestRam.private({ sizeBytes: ramBytes });
  client.mapRam(ram);
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
      ram.close();
    },
  };
}
