import { StateArena } from '@sidecard/core';
import { FakeNative } from '@sidecard/native';
import {
  GuestRam,
  Idio16Driver,
  InProcessServer,
  PciBus,
  type PciFunctionHandle,
  VfioUserClient,
  VfioUserPort,
} from '@sidecard/testing';
import { Idio16, type Idio16Options } from '../src/index.ts';

export interface Machine {
  readonly card: Idio16;
  readonly driver: Idio16Driver;
  readonly handle: PciFunctionHandle;
  readonly client: VfioUserClient;
  readonly server: InProcessServer;
}

/** A machine with the card in it, in this process, whose driver has probed it; time passes when the test says so. */
export function machine(options: Idio16Options & { arena?: StateArena } = {}): Machine {
  const native = new FakeNative();
  const { arena = StateArena.alloc(), ...rest } = options;
  let card: Idio16 | null = null;
  const server = new InProcessServer({ native, arena }, (host) => {
    card = new Idio16(host, rest);
    return card;
  });
  const client = new VfioUserClient(server.connect()!);
  client.version();
  const handle = new PciBus().add(new VfioUserPort(native, client, GuestRam.private()));
  const driver = new Idio16Driver(handle);
  driver.probe();
  return { card: card!, driver, handle, client, server };
}
