import { HeaderFlag } from '@sidecard/core';
import { FakeNative, loadNative, type Native } from '@sidecard/native';
import {
  InProcessServer,
  type Message,
  type OpenTwin,
  SocketTransport,
  type VersionOffer,
  VfioUserClient,
} from '@sidecard/testing';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect } from 'vitest';
import { clientOf, startExerciser } from './daemon.ts';
import { Exerciser } from './exerciser.ts';

/** Something that serves an exerciser, and clients of it. */
export interface Rig {
  readonly kind: 'in process' | 'socket';
  /** The client's descriptors are made here. */
  readonly native: Native;
  /** Connects; nothing is negotiated. */
  connect(): VfioUserClient;
  readonly openTwin: OpenTwin;
  close(): Promise<void>;
}

function inProcess(): Rig {
  const native = new FakeNative();
  const server = new InProcessServer({ native }, (host) => new Exerciser(host, native));
  return {
    kind: 'in process',
    native,
    connect: () => new VfioUserClient(server.connect()!),
    openTwin: (fd) => new SocketTransport(native, fd),
    close: () => server.close(),
  };
}

async function overSocket(): Promise<Rig> {
  const native = loadNative();
  const daemon = await startExerciser();
  return {
    kind: 'socket',
    native,
    connect: () => clientOf(daemon),
    openTwin: (fd) => new SocketTransport(native, fd),
    close: async () => {
      const { running } = daemon;
      const status = await daemon.stop();
      await daemon.remove();
      expect({ running, status, log: daemon.log }).toEqual({ running: true, status: 0, log: '' });
    },
  };
}

/** What each test gets: `rig` and a fresh client, negotiated with `offer` unless that is null. */
export interface Scene {
  rig: Rig;
  client: VfioUserClient;
}

/** Runs the same tests against an in-process session and a daemon behind a real socket. */
export function onBothSides(name: string, offer: VersionOffer | null, tests: (scene: Scene) => void): void {
  describe.each([
    ['in process', async () => inProcess()],
    ['over a socket', overSocket],
  ] as const)(`${name}, %s`, (_, start) => {
    const scene = {} as Scene;
    beforeAll(async () => {
      scene.rig = await start();
    });
    afterAll(() => scene.rig.close());
    beforeEach(() => {
      scene.client = scene.rig.connect();
      if (offer !== null) scene.client.version(offer);
    });
    afterEach(() => scene.client.close());
    tests(scene);
  });
}

/** "If an error occurs, the reply message must only include the reply header": the errno of such a reply. */
export function refusal(reply: Message): number {
  expect({ flags: reply.flags, payloadBytes: reply.payload.length, fds: reply.fds }).toEqual({
    flags: HeaderFlag.reply | HeaderFlag.error,
    payloadBytes: 0,
    fds: [],
  });
  return reply.error;
}

/** That the connection is in step: the very next reply is to a question asked now. */
export function expectInStep(client: VfioUserClient): void {
  expect(client.deviceInfo()).toMatchObject({ numRegions: 9, numIrqs: 5 });
  expect(client.wire.replies).toEqual([]);
}

export const EINVAL = 22;
export const EEXIST = 17;
export const ENOENT = 2;
export const ENOTSUP = 95;
