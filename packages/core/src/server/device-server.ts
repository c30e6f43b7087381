import type { Native } from '@sidecard/native';
import type { Clock, Host, Log, PciDevice } from '../pci/device.ts';
import type { StateArena } from '../state/arena.ts';
import type { Channel } from './channel.ts';

export interface DeviceServerOptions {
  /** Functions on fds: the real addon, or its twin in memory. */
  readonly native: Native;
  readonly clock: Clock;
  readonly log: Log;
  readonly arena: StateArena;
  /** How long an answer may wait for I/O in flight, counted from the oldest unanswered message, ms. QEMU gives up after 5,000. */
  readonly drainMs?: number;
}

/**
 * One device with its function, its view of guest memory and whoever is connected, and no socket: channels are handed to
 * it, and `turn` does what there is to do. The rim drives it from a socket and a reactor, a test by hand:
 *
 *     const server = new DeviceServer(options, (host) => new Edu(host));
 *     const [client, end] = channelPair();
 *     server.attach(end);
 *     client.send(message, 0, message.length, fds);
 *     while (server.turn());
 *     client.receive(reply, 0, reply.length, fds);
 */
export declare class DeviceServer {
  constructor(options: DeviceServerOptions, create: (host: Host) => PciDevice);
  readonly device: PciDevice;
  /** True while a client is connected. */
  readonly connected: boolean;
  /** Takes a client; false, and the channel is closed, while another is connected that has not hung up. */
  attach(channel: Channel): boolean;
  /** Looks at every source once and runs deferred work. True when there was anything to do. */
  turn(): boolean;
  /** Disconnects, quiesces the device, releases everything. */
  close(): Promise<void>;
}
