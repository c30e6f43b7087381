import { PciBus } from '../pci/bus.ts';
import type { Host, PciDevice } from '../pci/device.ts';
import type { ListenAt } from './listener.ts';
import { type ServeOptions, type Server, serve } from './serve.ts';

/** One function of a bus, and the socket that it is exported on. */
export interface BusFunction {
  /** 0 to 31. */
  readonly device: number;
  /** 0 to 7. */
  readonly number: number;
  readonly at: ListenAt;
  create(host: Host): PciDevice;
}

export interface BusServer {
  readonly bus: PciBus;
  /** In the order in which they were given. */
  readonly servers: readonly Server[];
  close(): Promise<void>;
}

/**
 * Serves several functions from one process, each on a socket of its own. Functions of one device say so in their header type; the
 * monitor is to be given `multifunction=on` and the same places. Each function's pin is its own socket's INTx; the monitor wires it to an input by place and pin. Rejects as `serve` does, and then nothing is served.
 */
export async function serveBus(
  options: Omit<ServeOptions, 'at'>,
  functions: readonly BusFunction[],
): Promise<BusServer> {
  const bus = new PciBus();
  const servers: Server[] = [];
  const close = async () => void (await Promise.all(servers.map((server) => server.close())));
  try {
    for (const { device, number, at, create } of functions) {
      const server = await serve({ ...options, at }, create);
      servers.push(server);
      bus.add(device, number, server.core.function);
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { bus, servers, close };
}
