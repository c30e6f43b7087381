import { Command, REGION_ACCESS_BYTES, RegionAccess, RegionIndex } from '@sidecard/core';
import { FakeNative } from '@sidecard/native';
import {
  CapabilityId,
  type DmaRequest,
  encodeFields,
  GuestRam,
  InProcessServer,
  NvmeDriver,
  PciBus,
  type PciFunctionHandle,
  RecordedLog,
  VfioUserClient,
  VfioUserPort,
} from '@sidecard/testing';
import { Controller } from '../../src/index.ts';
import type { Way } from '../machine.ts';
import { GuestPages, PAGE } from './guest-pages.ts';
import type { ModelDrive } from './model-drive.ts';
import { must } from './violation.ts';

/** What each run draws before it begins. */
export interface Setup {
  /** Of everything that is drawn while it runs: pages, what the drive and the memory do next. */
  readonly seed: number;
  readonly lbaBytes: 512 | 4096;
  readonly drives: number;
  /** The second drive cannot be written. */
  readonly readOnly: boolean;
  readonly volatileCache: boolean;
  readonly msix: boolean;
  readonly slow: boolean;
  /** Queues have shadow doorbells from the start, where there are any. */
  readonly shadow: boolean;
}

/** A port whose client answers DMA messages late and in any order; only writes keep theirs, as with any client there is. */
class LatePort extends VfioUserPort {
  random: () => number = Math.random;

  override turn(): boolean {
    const worked = super.turn();
    const { dma } = this.client.wire;
    if (dma.held.length === 0) return worked;
    const count = Math.floor(this.random() * (dma.held.length + 1));
    for (let answered = 0; answered < count; answered++) {
      const request = dma.held[Math.floor(this.random() * dma.held.length)]!;
      // The oldest write goes before any other.
      const first = request.kind === 'write' ? dma.held.find(({ kind }) => kind === 'write')! : request;
      dma.held.splice(dma.held.indexOf(first), 1);
      dma.answer(first);
    }
    return true;
  }
}

const ramBytes = 1 << 20;
/** Of it, for what the driver library allocates. */
const spareBytes = 8 * PAGE;
/** More turns than anything takes. */
const patience = 20_000;

/** The controller that is tested, in this process, and the machine around it. */
export class Real {
  readonly way: Way;
  readonly setup: Setup;
  readonly native = new FakeNative();
  readonly log = new RecordedLog();
  readonly drives: readonly ModelDrive[];
  readonly server: InProcessServer;
  readonly ram: GuestRam;
  readonly memory: GuestPages;
  readonly random: () => number;
  /** Interrupts that have come since their queues were looked at last, by vector. */
  readonly signalled = new Set<number>();
  client!: VfioUserClient;
  port!: VfioUserPort;
  handle!: PciFunctionHandle;
  driver!: NvmeDriver;
  readonly #before: { readonly fds: number; readonly mappings: number };
  #controller: Controller | null = null;
  /** Reads of before a reset, to be answered some time. */
  readonly #late: DmaRequest[] = [];
  /** The process sleeps: nothing but a message or a drive wakes it, whatever the driver writes into memory. */
  #asleep = false;

  constructor(way: Way, setup: Setup, drives: readonly ModelDrive[], random: () => number) {
    this.way = way;
    this.setup = setup;
    this.drives = drives;
    this.random = random;
    this.server = new InProcessServer({ native: this.native, log: this.log }, (host) => {
      const namespaces = drives.map((backend) => ({ backend, lbaBytes: setup.lbaBytes }));
      this.#controller = new Controller(host, { drives: namespaces });
      return this.#controller;
    });
    const size = { sizeBytes: ramBytes };
    this.ram = way === 'mapped' ? GuestRam.shared(this.native, size) : GuestRam.private(size);
    this.memory = new GuestPages(this.ram, spareBytes, random);
    this.#before = { fds: this.native.openFds, mappings: this.native.mappings };
    this.connect();
  }

  get controller(): Controller {
    return this.#controller!;
  }

  get csts() {
    return this.driver.registers.csts;
  }

  /** CSTS but for NSSRO, which tells of what was long ago. */
  get status(): number {
    return this.csts.value & ~0x10;
  }

  connect(): void {
    const transport = this.server.connect();
    must(transport !== null, () => 'no client is taken after one has gone');
    const { turn, send } = transport;
    transport.turn = () => !this.#asleep && turn.call(transport);
    transport.send = (bytes, fds) => {
      this.#asleep = false;
      return send.call(transport, bytes, fds);
    };
    this.client = new VfioUserClient(transport);
    this.client.version();
    this.client.mapRam(this.ram);
    if (this.way === 'messages') {
      this.client.wire.dma.hold();
      const port = new LatePort(this.native, this.client, this.ram);
      port.random = this.random;
      this.port = port;
    } else this.port = new VfioUserPort(this.native, this.client, this.ram);
    this.handle = new PciBus().add(this.port);
    this.restart();
  }

  /** Sets the function up again, as after any reset beyond CC.EN. */
  restart(): void {
    this.driver = new NvmeDriver(this.handle, this.setup.msix ? { interrupts: 'msix', vectors: 4 } : {});
    this.driver.admin.free();
    this.memory.sync();
  }

  /**
   * Writes by messages that had been sent before a reset was answered take place: nobody can take them back, and a client may serve them after the
   * answer. What comes later is the device's mistake. Reads may be answered as late as they like.
   */
  serveOldWrites(): void {
    const { dma } = this.client.wire;
    for (const request of dma.held.splice(0)) {
      if (request.kind === 'write') dma.answer(request);
      else this.#late.push(request);
    }
  }

  hangUp(): void {
    this.#late.length = 0;
    this.port.close();
  }

  /** Some time; promises of the device have theirs between turns. */
  async turn(count: number): Promise<void> {
    for (let turn = 0; turn < count; turn++) {
      this.#wakeByDrives();
      this.port.turn();
      if (this.#late.length > 0 && this.random() < 0.05) this.client.wire.dma.answer(this.#late.shift()!);
      await null;
    }
  }

  /** @throws Violation when it never comes. */
  async until(condition: () => boolean, what: string): Promise<void> {
    for (let turns = 0; !condition(); turns++) {
      must(turns < patience, () => `${what} never comes`);
      await this.turn(1);
    }
  }

  /** A message of the client that is answered when the device has ended what it does. */
  async request(command: number, payload: Uint8Array = new Uint8Array(0)): Promise<void> {
    const { wire } = this.client;
    const id = wire.send(command, payload);
    const answer = () => wire.replies.findIndex((reply) => reply.id === id);
    await this.until(() => answer() >= 0, `the answer to message ${command}`);
    const [reply] = wire.replies.splice(answer(), 1);
    must(reply!.error === 0, () => `message ${command} was answered with error ${reply!.error}`);
  }

  /** Function Level Reset (PCI Express Base 3.0, 7.8.4). */
  async functionLevelReset(): Promise<void> {
    const bytes = Uint8Array.of(0, 0x80);
    const offset = this.handle.find(CapabilityId.express)! + 8;
    const payload = new Uint8Array(REGION_ACCESS_BYTES + bytes.length);
    const fields = { offset, region: RegionIndex.config, count: bytes.length };
    payload.set(encodeFields(RegionAccess, REGION_ACCESS_BYTES, fields));
    payload.set(bytes, RegionAccess.data);
    await this.request(Command.regionWrite, payload);
  }

  /** Lets the process fall asleep, as far as there is nothing to do: every source says how it is to be woken. */
  sleep(): void {
    const { server } = this.server;
    for (let turn = 0; turn < 100; turn++) {
      this.port.turn();
      if (server.turn() || this.drives.some(({ inFlight }) => inFlight > 0)) continue;
      if (!server.memory.arm() || !this.controller.turns.arm()) continue;
      this.#asleep = true;
      return;
    }
  }

  #wakeByDrives(): void {
    if (this.drives.some(({ inFlight, stalled }) => inFlight > 0 && !stalled)) this.#asleep = false;
  }

  /** Interrupts that have arrived. */
  takeInterrupts(): void {
    for (const vector of this.driver.vectors) if (vector.take() > 0) this.signalled.add(vector.number);
  }

  /** The controller has been reset and nothing is in flight: it holds nothing of the guest, nor of the client that goes. */
  async checkReleased(): Promise<void> {
    must(this.controller.inFlight === 0, () => `${this.controller.inFlight} commands are still in flight`);
    // Answered at once, since no I/O holds any of it.
    this.client.unmapRam(this.ram);
    must(this.server.server.memory.draining === 0, () => 'guest memory is still pinned');
    this.hangUp();
    this.server.settle();
    const { openFds: fds, mappings } = this.native;
    must(fds === this.#before.fds, () => `${fds - this.#before.fds} descriptors are left`);
    must(mappings === this.#before.mappings, () => `${mappings - this.#before.mappings} mappings or pins are left`);
    await this.server.close();
    must(
      this.drives.every(({ closed }) => closed),
      () => 'a drive was not closed',
    );
    must(this.server.clock.timers === 0, () => 'a timer is left');
    const errors = this.log.lines.filter(({ level }) => level === 'error');
    must(
      errors.length === 0,
      () =>
        `logged as errors: ${errors.map(({ message, fields }) => `${message} ${JSON.stringify(fields)}`).join('; ')}`,
    );
  }
}
