import { loadNative, type Native } from '@sidecard/native';
import type { Host, Log, PciDevice } from '../pci/device.ts';
import type { PollMode } from '../reactor/reactor.ts';
import { DeviceServer } from '../server/device-server.ts';
import { SocketChannel } from '../server/socket-channel.ts';
import { StateArena } from '../state/arena.ts';
import { type ListenAt, listen } from './listener.ts';
import { realClock } from './real-clock.ts';
import { realWorld } from './real-world.ts';

/** Address space of the state arena; pages that nothing touches cost nothing. */
const ARENA_BYTES = 64 * 1024 * 1024;

export interface ServeOptions {
  /** A path for the socket, or a listening socket that was inherited. */
  readonly at: ListenAt;
  readonly log: Log;
  readonly poll?: PollMode;
  /** How long DEVICE_RESET, FLR and DMA_UNMAP may wait for I/O in flight, ms; 4,000 unless told. */
  readonly drainMs?: number;
  readonly arenaBytes?: number;
  readonly native?: Native;
}

export interface Server {
  readonly device: PciDevice;
  readonly core: DeviceServer;
  /** Accepts nobody any more, drains the device, disconnects, removes the socket. */
  close(): Promise<void>;
}

/**
 * Makes a device and serves it to vfio-user clients, one at a time, until closed. Rejects with a ListenError, one line for
 * people, when the socket cannot be had; then no device was made.
 */
export async function serve(options: ServeOptions, create: (host: Host) => PciDevice): Promise<Server> {
  const native = options.native ?? loadNative();
  let core: DeviceServer | null = null;
  const listener = listen(native, options.at, (fd) => {
    const channel = new SocketChannel(native, fd);
    try {
      core!.attach(channel);
    } catch (error) {
      options.log.error({ error }, 'A client could not be served');
      channel.close();
    }
  });
  try {
    core = new DeviceServer(
      {
        native,
        clock: realClock,
        log: options.log,
        arena: new StateArena(arenaMemory(native, options.arenaBytes ?? ARENA_BYTES)),
        world: realWorld(native),
        poll: options.poll ?? 'adaptive',
        ...(options.drainMs === undefined ? {} : { drainMs: options.drainMs }),
      },
      create,
    );
  } catch (error) {
    listener.close();
    throw error;
  }
  const server = core;
  return {
    device: server.device,
    core: server,
    close: async () => {
      listener.close();
      await server.close();
    },
  };
}

function arenaMemory(native: Native, sizeBytes: number): ArrayBuffer {
  const fd = native.memfd('sidecard-state', sizeBytes);
  const buffer = native.map(fd, 0, sizeBytes, true);
  native.close(fd);
  if (typeof buffer === 'number') throw new Error(`The state arena cannot be mapped: errno ${-buffer}`);
  return buffer;
}
