import type { Bar, Host, MappableMemory, PciDevice, PciIdentity, PollSource, ResetKind } from '@sidecard/core';
import { adminOpcodes } from './admin.ts';
import { Doorbells } from './doorbells.ts';
import { ErrorLog } from './error-log.ts';
import { AsyncEvents } from './events.ts';
import { Features } from './features.ts';
import { Health } from './health.ts';
import { type ControllerIdentity, controllerIdentity, pciClass, pciDevice, pciVendor } from './identity.ts';
import { CompletionInterrupts } from './interrupts.ts';
import { ioOpcodes } from './io.ts';
import * as limits from './limits.ts';
import { createNamespaces, type Namespace, type NamespaceOptions } from './namespace.ts';
import { Processor } from './processor.ts';
import { Queues } from './queues.ts';
import { ControllerRegisters, ShutdownStatus } from './registers.ts';
import { Shutdown } from './shutdown.ts';

export interface ControllerOptions {
  /** At least one; namespaces 1, 2 and so on. */
  readonly drives: readonly NamespaceOptions[];
  /** Shown as it is; null: derived from the first drive. At most 20 ASCII characters. */
  readonly serial?: string | null;
  /** A page that is mapped into the guest and polled; without it doorbells are trapped. */
  readonly doorbellPage?: MappableMemory | null;
  /** At most 8 ASCII characters. */
  readonly firmwareRevision?: string;
}

/** An NVMe I/O controller (NVM Express Base 2.0): its registers, and how it starts, stops and fails. */
export class Controller implements PciDevice, PollSource {
  readonly host: Host;
  readonly identity: PciIdentity;
  readonly bars: { readonly 0: Bar };
  readonly who: ControllerIdentity;
  readonly firmwareRevision: string;
  readonly registers;
  readonly namespaces: readonly Namespace[];
  readonly queues: Queues;
  readonly doorbells: Doorbells;
  readonly features: Features;
  readonly errors: ErrorLog;
  readonly events: AsyncEvents;
  readonly health: Health;
  readonly interrupts: CompletionInterrupts;
  readonly processor: Processor;
  readonly opcodes = { admin: adminOpcodes, io: ioOpcodes };
  /** Commands are fetched: ready, not failed, not shut down, and somebody is connected. */
  running = false;
  /** Size of a memory page, bytes (CC.MPS). */
  pageBytes = 4096;
  readonly #shutdown: Shutdown;
  readonly #work = () => {
    this.poll();
  };
  /** There may be something to do that no doorbell tells. */
  #woken = false;
  #working = false;
  /** A queue waits for what nobody wakes us for: room in a completion queue whose head is not trapped, or bus mastering. */
  #blocked = false;
  /** INTA# is asserted, and heads of completion queues come by stores. */
  #asserted = false;
  #quiescing = false;
  #whenIdle: (() => void) | null = null;

  constructor(host: Host, options: ControllerOptions) {
    const { drives, serial = null, doorbellPage = null, firmwareRevision = '0.1.0' } = options;
    this.host = host;
    this.firmwareRevision = firmwareRevision;
    this.namespaces = createNamespaces(drives, host.state);
    this.who = controllerIdentity(drives[0]!.backend.identitySeed, serial);
    this.registers = ControllerRegisters.create(host.state.registers('nvme/registers', ControllerRegisters), {
      intms: { write: (now) => this.#maskWritten(now) },
      intmc: { write: (now, was) => this.#maskWritten(now, was & ~now) },
      cc: { write: (now, was) => this.#configure(now, was) },
    });
    this.queues = new Queues(host.state);
    this.errors = new ErrorLog(host.state);
    this.features = new Features(this);
    this.health = new Health(this);
    this.events = new AsyncEvents(this);
    this.interrupts = new CompletionInterrupts(this);
    this.doorbells = new Doorbells(this, doorbellPage);
    this.processor = new Processor(this);
    this.#shutdown = new Shutdown(this);
    this.identity = pciIdentity(this.who);
    this.bars = { 0: this.#bar(doorbellPage) };
    host.poll(this);
    for (const { backend } of this.namespaces) host.poll(backend);
  }

  get hasVolatileCache(): boolean {
    return this.namespaces.some(({ backend }) => backend.geometry.volatileCache);
  }

  get inFlight(): number {
    return this.processor.inFlight + (this.#shutdown.busy ? 1 : 0);
  }

  interruptLevel(): boolean {
    return this.interrupts.level;
  }

  // Work: what the reactor calls.

  /** Fetches, runs and completes what there is, and tells the guest, once for all of it. */
  poll(): boolean {
    if (this.#woken || this.#blocked) return this.#turn();
    if (!this.running) return false;
    if (this.doorbells.look()) return this.#turn();
    if (this.#asserted) this.#updatePin();
    return false;
  }

  #turn(): boolean {
    const woken = this.#woken;
    this.#woken = false;
    this.#working = true;
    let worked = false;
    try {
      if (this.running) worked = this.#serve();
      else this.#blocked = false;
      if (this.#shutdown.underWay) this.#shutdown.work();
    } finally {
      this.#working = false;
    }
    for (let index = 0; index < this.namespaces.length; index++) this.namespaces[index]!.commit();
    this.processor.interrupt();
    this.#updatePin();
    if (this.#whenIdle !== null && this.inFlight === 0) this.#whenIdle();
    return worked || woken;
  }

  /** Brings INTA# up to date. While it is asserted it may fall by a store that nobody traps. */
  #updatePin(): void {
    if (this.host.interrupt.mode !== 'intx') return;
    if (this.doorbells.polled && this.interrupts.level) this.doorbells.lookAtHeads();
    this.interrupts.update();
    this.#asserted = this.doorbells.polled && this.interrupts.level;
  }

  #serve(): boolean {
    this.#blocked = false;
    if (!this.host.busMaster) {
      this.#blocked = true;
      return false;
    }
    const { active } = this.queues;
    let worked = false;
    for (let index = 0; index < active.length && this.running; index++) {
      const queue = active[index]!;
      const served = this.processor.serve(queue);
      if (served) worked = true;
      if (queue.isEmpty) continue;
      // A burst has an end; what is left is for the next turn.
      if (served) this.#woken = true;
      else if (this.doorbells.polled) this.#blocked = true;
    }
    if (this.running) this.events.deliver();
    return worked;
  }

  arm(): boolean {
    if (this.#woken) return false;
    if (!this.running || !this.host.busMaster) return true;
    if (this.doorbells.shadow.enabled && !this.doorbells.shadow.arm(this.host.interrupt.mode === 'intx'))
      this.#woken = true;
    if (this.doorbells.mapped && this.doorbells.look()) this.#woken = true;
    return !this.#woken;
  }

  get silent(): boolean {
    return this.doorbells.mapped && this.running;
  }

  /** There is something to do, and it is done before the reactor sleeps. */
  wake(): void {
    if (this.#woken) return;
    this.#woken = true;
    if (!this.#working) this.host.defer(this.#work);
  }

  // Registers (NVMe Base 2.0, 3.1.3) and resets (3.7).

  #maskWritten(mask: number, cleared = 0): void {
    this.registers.intms = mask;
    this.registers.intmc = mask;
    this.interrupts.unmasked(cleared);
  }

  /** CC was written. */
  #configure(now: number, was: number): void {
    const enabled = (now & 1) !== 0;
    const wasEnabled = (was & 1) !== 0;
    if (enabled && !wasEnabled) this.#start();
    else if (!enabled && wasEnabled) this.#controllerReset();
    const { csts, cc } = this.registers;
    if (cc.shn !== 0 && csts.shst === ShutdownStatus.none) {
      this.running = false;
      this.#shutdown.begin();
    }
  }

  /** CC.EN 0 to 1. Waits for the requests of before, whatever ended them: RDY comes with the last of them. */
  #start(): void {
    const { registers } = this;
    if (this.inFlight > 0) return;
    const wrong = this.#wrongConfiguration();
    if (wrong !== null) {
      this.fatal(wrong, { cc: registers.cc.value, aqa: registers.aqa.value });
      return;
    }
    this.pageBytes = 4096 << registers.cc.mps;
    this.doorbells.reset();
    this.queues.completion[0]!.create(registers.acq.page * 4096, registers.aqa.acqs + 1, 0, true);
    this.queues.submission[0]!.create(registers.asq.page * 4096, registers.aqa.asqs + 1, this.queues.completion[0]!);
    this.queues.update();
    registers.csts.cfs = 0;
    registers.csts.rdy = 1;
    this.running = !this.#quiescing;
  }

  /** What a controller with this configuration cannot do (3.1.3.5, 3.1.3.8 to 3.1.3.10), or null. */
  #wrongConfiguration(): string | null {
    const { cc, aqa, asq, acq } = this.registers;
    if (cc.css !== 0) return 'CC.CSS is not the NVM command set';
    if (cc.ams !== 0) return 'CC.AMS is not round robin';
    if (cc.mps < limits.mpsMin || cc.mps > limits.mpsMax) return 'CC.MPS is not a page size of CAP';
    if (aqa.asqs === 0 || aqa.acqs === 0) return 'AQA has a queue of one entry';
    const pages = 1 << cc.mps;
    return asq.page % pages !== 0 || acq.page % pages !== 0 ? 'ASQ or ACQ is not the address of a page' : null;
  }

  /** CC.EN 1 to 0 (3.7.2): RDY falls when the requests of this generation have ended. AQA, ASQ and ACQ stay. */
  #controllerReset(): void {
    this.#stop();
    this.registers.intms = 0;
    this.registers.intmc = 0;
    this.drained();
  }

  /** Disowns all commands, and forgets all that a controller-level reset forgets. */
  #stop(): void {
    this.running = false;
    this.#blocked = false;
    this.processor.disown();
    this.doorbells.reset();
    this.events.reset();
    this.queues.clear();
    this.features.reset();
    this.interrupts.update();
  }

  /** The last request of before a reset has ended. */
  drained(): void {
    if (this.inFlight > 0) return;
    const { cc, csts } = this.registers;
    if (cc.en === 0) {
      csts.rdy = 0;
      csts.cfs = 0;
      csts.shst = ShutdownStatus.none;
    } else if (csts.rdy === 0 && csts.cfs === 0) {
      this.#start();
    }
  }

  reset(kind: ResetKind): void {
    const { csts } = this.registers;
    if (csts.rdy === 1 && csts.shst !== ShutdownStatus.complete) this.health.unsafeShutdown();
    if (kind === 'disconnect') {
      this.running = false;
      this.processor.disown();
      return;
    }
    this.#stop();
    this.registers.reset();
    if (kind === 'conventional') this.health.powerCycle();
  }

  /** CSTS.CFS: the driver is to reset the controller. Nothing more is fetched. */
  fatal(reason: string, fields: object): void {
    this.registers.csts.cfs = 1;
    this.running = false;
    // Bus mastering taken away with commands in flight is how machines reset.
    if (this.host.busMaster) this.host.log.warn(fields, `the controller has failed: ${reason}`);
    else this.host.log.debug(fields, `the controller has failed, without bus mastering: ${reason}`);
  }

  failed(reason: string): void {
    this.fatal(reason, { inFlight: this.inFlight });
  }

  memoryChanged(): void {
    if (this.running && this.#blocked) this.wake();
  }

  async quiesce(): Promise<void> {
    this.#quiescing = true;
    this.running = false;
    if (this.inFlight > 0) {
      await new Promise<void>((resolve) => {
        this.#whenIdle = resolve;
      });
    }
    await Promise.all(this.namespaces.map(({ backend }) => backend.close()));
  }

  #bar(doorbellPage: MappableMemory | null): Bar {
    const { doorbellsOffset, doorbellPageBytes, barSizeBytes } = limits;
    const { registers } = this.doorbells;
    return {
      kind: 'memory64',
      sizeBytes: barSizeBytes,
      windows: [
        { offset: 0, sizeBytes: doorbellsOffset, registers: this.registers },
        {
          offset: doorbellsOffset,
          sizeBytes: registers?.sizeBytes ?? doorbellPageBytes,
          ...(registers !== null && { registers }),
          ...(doorbellPage !== null && { memory: doorbellPage }),
        },
      ],
    };
  }
}

function pciIdentity(who: ControllerIdentity): PciIdentity {
  const { queueCount, msixTableOffset, msixPbaOffset } = limits;
  return {
    vendor: pciVendor,
    device: pciDevice,
    revision: 1,
    classCode: pciClass,
    subsystemVendor: pciVendor,
    subsystem: pciDevice,
    interrupts: {
      intx: true,
      msi: 32,
      msix: {
        vectors: queueCount,
        table: { bar: 0, offset: msixTableOffset },
        pba: { bar: 0, offset: msixPbaOffset },
      },
    },
    express: true,
    powerManagement: true,
    advancedErrorReporting: true,
    serialNumber: who.pciSerial,
  };
}
