import type { Bar, Host, MappableMemory, PciDevice, PciIdentity, ResetKind } from '@sidecard/core';
import { adminOpcodes } from './admin/admin.ts';
import { ChangedNamespaces } from './admin/changed-namespaces.ts';
import { ErrorLog } from './admin/error-log.ts';
import { AsyncEvents } from './admin/events.ts';
import { Health } from './admin/health.ts';
import { Processor } from './command/processor.ts';
import { fixedFields, wrongConfiguration } from './configuration.ts';
import { Features } from './features/features.ts';
import { controllerBar, pciIdentity } from './function.ts';
import { type ControllerIdentity, controllerIdentity } from './identity.ts';
import { CompletionInterrupts } from './interrupts.ts';
import { ioOpcodes } from './io/io.ts';
import { VolatileWrites } from './io/volatile-writes.ts';
import type { AddedNamespace, DriveOpener } from './namespaces/backing.ts';
import { DriveChanges } from './namespaces/drive-changes.ts';
import { resumeFormat } from './namespaces/format-job.ts';
import { Jobs } from './namespaces/jobs.ts';
import { NamespaceManagement } from './namespaces/management.ts';
import type { NamespaceOptions } from './namespaces/namespace.ts';
import { Namespaces } from './namespaces/namespaces.ts';
import type { Pool } from './namespaces/pool.ts';
import { ArbitrationMechanism } from './queues/arbitration.ts';
import { Doorbells } from './queues/doorbells.ts';
import { Queues } from './queues/queues.ts';
import { ControllerRegisters, ShutdownStatus, subsystemResetKey } from './registers.ts';
import { Shutdown } from './shutdown.ts';
import { Turns } from './turns.ts';

export interface ControllerOptions {
  /** Namespaces 1, 2 and so on; at least one, unless there is a pool. Null: a person has removed it (only for a successor). */
  readonly drives: readonly (NamespaceOptions | null)[];
  /** Drives that a person has added, for a successor. */
  readonly added?: readonly AddedNamespace[];
  /** What a person has changed of the drives. */
  readonly changes?: DriveChanges;
  /** Room for namespaces that the guest makes, and those that it has made. */
  readonly pool?: Pool | null;
  /** Opens drives that a person adds while the guest runs; null: nobody does. */
  readonly openDrive?: DriveOpener | null;
  /** Shown as it is; null: derived from the first drive. At most 20 ASCII characters. */
  readonly serial?: string | null;
  /** A page that is mapped into the guest and polled; without it doorbells are trapped. */
  readonly doorbellPage?: MappableMemory | null;
  /** At most 8 ASCII characters. */
  readonly firmwareRevision?: string;
}

/** An NVMe I/O controller (NVM Express Base 2.0): its registers, and how it starts, stops and fails. */
export class Controller implements PciDevice {
  readonly host: Host;
  readonly identity: PciIdentity;
  readonly bars: { readonly 0: Bar };
  readonly who: ControllerIdentity;
  readonly firmwareRevision: string;
  readonly registers;
  readonly namespaces: Namespaces;
  readonly queues: Queues;
  readonly doorbells: Doorbells;
  readonly features: Features;
  readonly errors: ErrorLog;
  readonly events: AsyncEvents;
  readonly health: Health;
  readonly changed: ChangedNamespaces;
  readonly jobs: Jobs;
  readonly management: NamespaceManagement;
  readonly interrupts: CompletionInterrupts;
  readonly processor: Processor;
  readonly volatileWrites = new VolatileWrites(this);
  readonly opcodes = { admin: adminOpcodes, io: ioOpcodes };
  // What follows is not in the arena, since a successor has it from what is: `running` is RDY without CFS or SHST, with an admin queue (`stopping` is
  // RDY without one), `starting` is CC.EN without RDY or CFS, and CC.MPS and CC.AMS are fixed while enabled. It quiesces on its own account.
  /** Commands are fetched: ready, not failed, not shut down, and somebody is connected. */
  running = false;
  /** Size of a memory page, bytes (CC.MPS). */
  pageBytes = 4096;
  readonly shutdown: Shutdown;
  readonly turns: Turns;
  /** CC.EN is 0 and RDY still 1: requests of before are under way. */
  #stopping = false;
  /** CC.EN is 1 and RDY still 0, for the same reason. */
  #starting = false;
  /** The daemon ends. */
  quiescing = false;
  readonly #pool: Pool | null;
  readonly openDrive: DriveOpener | null;
  readonly driveChanges: DriveChanges;

  constructor(host: Host, options: ControllerOptions) {
    const { drives, pool = null, serial = null, doorbellPage = null, firmwareRevision = '0.1.0' } = options;
    this.host = host;
    this.firmwareRevision = firmwareRevision;
    this.#pool = pool;
    this.openDrive = options.openDrive ?? null;
    this.namespaces = new Namespaces(host, drives, pool?.open() ?? [], options.added);
    this.driveChanges = options.changes ?? new DriveChanges(host.state, drives.length);
    this.who = controllerIdentity(this.#identitySeed(drives[0], pool), serial);
    this.registers = ControllerRegisters.create(host.state.registers('nvme/registers', ControllerRegisters), {
      intms: { write: (now) => this.#maskWritten(now) },
      intmc: { write: (now, was) => this.#maskWritten(now, was & ~now) },
      cc: { write: (now, was) => this.#configure(now, was) },
      nssr: { write: (now) => this.#subsystemReset(now) },
    });
    this.queues = new Queues(host.state);
    this.errors = new ErrorLog(host.state);
    this.features = new Features(this);
    this.health = new Health(this);
    this.events = new AsyncEvents(this);
    this.changed = new ChangedNamespaces(this);
    this.jobs = new Jobs(this);
    this.management = new NamespaceManagement(this, pool);
    this.interrupts = new CompletionInterrupts(this);
    this.doorbells = new Doorbells(this, doorbellPage);
    this.processor = new Processor(this);
    this.turns = new Turns(this);
    this.shutdown = new Shutdown(this);
    this.identity = pciIdentity(this.who);
    this.bars = { 0: controllerBar(this.registers, this.doorbells.registers, doorbellPage) };
    host.poll(this.turns);
    for (const namespace of this.namespaces.list) {
      if (namespace.notes.content.formatting !== undefined) this.jobs.run(resumeFormat(this, namespace));
    }
  }

  /** In the arena, since the first drive may be removed. */
  #identitySeed(first: NamespaceOptions | null | undefined, pool: Pool | null): Uint8Array {
    const { bytes } = this.host.state.bytes('nvme/identity', 32);
    if (!this.host.state.inherited) bytes.set(first?.backend.identitySeed ?? pool!.folder.identitySeed);
    return bytes.slice();
  }

  get hasVolatileCache(): boolean {
    // Also of namespaces that are not yet: drivers ask once.
    const made = this.#pool?.folder.volatileCache ?? false;
    return (
      made || this.openDrive !== null || this.namespaces.list.some(({ backend }) => backend.geometry.volatileCache)
    );
  }

  /** Doorbell Buffer Config is there: looking at guest memory costs no messages, and no page is polled instead. */
  get offersShadowDoorbells(): boolean {
    return this.host.memory.mapped && !this.doorbells.mapped;
  }

  get inFlight(): number {
    return this.processor.inFlight + (this.shutdown.busy ? 1 : 0);
  }

  interruptLevel(): boolean {
    return this.interrupts.pin();
  }

  wake(): void {
    this.turns.wake();
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
    if (enabled && wasEnabled) this.registers.cc.value = (now & ~fixedFields) | (was & fixedFields);
    if (enabled && !wasEnabled) this.#start();
    else if (!enabled && wasEnabled) this.#controllerReset();
    const { csts, cc } = this.registers;
    // Told by a change: a driver may switch off with SHN as it was (OVMF does), and asks for nothing by it.
    if ((cc.shn === 1 || cc.shn === 2) && cc.shn !== ((was >>> 14) & 3) && csts.shst === ShutdownStatus.none) {
      this.running = false;
      this.shutdown.begin();
    }
  }

  /** CC.EN 0 to 1. Waits for the requests of before, whatever ended them: RDY comes with the last of them. */
  #start(): void {
    const { registers } = this;
    this.#starting = this.inFlight > 0 || this.#stopping;
    if (this.#starting) return;
    const wrong = wrongConfiguration(registers);
    if (wrong !== null) {
      this.fatal(wrong, { cc: registers.cc.value, aqa: registers.aqa.value });
      return;
    }
    this.pageBytes = 4096 << registers.cc.mps;
    this.turns.weighted = registers.cc.ams === ArbitrationMechanism.weightedRoundRobin;
    this.doorbells.reset();
    this.queues.completion[0]!.create(registers.acq.page * 4096, registers.aqa.acqs + 1, 0, true);
    this.queues.submission[0]!.create(registers.asq.page * 4096, registers.aqa.asqs + 1, this.queues.completion[0]!, 0);
    this.queues.update();
    registers.csts.cfs = 0;
    // A shutdown while disabled (3.6) is over with the start; one that was asked for since goes on.
    const shutDown = this.shutdown.underWay && registers.cc.shn !== 0;
    if (!shutDown) registers.csts.shst = ShutdownStatus.none;
    registers.csts.rdy = 1;
    this.running = !this.quiescing && !shutDown;
  }

  /** CC.EN 1 to 0 (3.7.2): RDY falls when the requests of this generation have ended. AQA, ASQ and ACQ stay. */
  #controllerReset(): void {
    this.#stop();
    this.registers.intms = 0;
    this.registers.intmc = 0;
    this.registers.csts.shst = ShutdownStatus.none;
    this.#stopping = true;
    // Of one that never was ready the driver sees no more than that it is not: RDY is 0 as it is, and what failed is over.
    if (this.registers.csts.rdy === 0) this.registers.csts.cfs = 0;
    this.drained();
  }

  /**
   * NSSR was written (3.7.1). The subsystem is this controller: all its registers are reset, and RDY falls as for a controller reset. What PCI has stays as it
   * is, since no client can be told that the link went down.
   */
  #subsystemReset(key: number): void {
    if (key >>> 0 !== subsystemResetKey) return;
    const { csts } = this.registers;
    const { rdy } = csts;
    this.#stop();
    this.registers.reset();
    csts.nssro = 1;
    csts.rdy = rdy;
    this.#stopping = true;
    this.drained();
  }

  /** Disowns all commands, and forgets all that a controller-level reset forgets. */
  #stop(): void {
    this.running = false;
    this.#stopping = false;
    this.#starting = false;
    this.processor.disown();
    this.doorbells.reset();
    this.events.reset();
    this.queues.clear();
    this.features.reset();
    this.interrupts.reset();
    this.health.busy.stop();
  }

  /** The last request of before a reset has ended. */
  drained(): void {
    if (this.inFlight > 0) return;
    if (this.#stopping) {
      this.#stopping = false;
      const { csts } = this.registers;
      csts.rdy = 0;
      csts.cfs = 0;
    }
    if (this.#starting) this.#start();
  }

  reset(kind: ResetKind): void {
    const { csts } = this.registers;
    const { nssro } = csts;
    const lostPower = kind !== 'function';
    if (lostPower && csts.rdy === 1 && csts.shst !== ShutdownStatus.complete) this.health.unsafeShutdown();
    if (kind === 'disconnect') {
      this.running = false;
      this.processor.disown();
      this.interrupts.reset();
      this.health.busy.stop();
      return;
    }
    this.#stop();
    this.registers.reset();
    if (kind === 'function') {
      csts.nssro = nssro;
      return;
    }
    this.health.powerCycle();
    this.features.timestamp.powerCycle();
  }

  /** CSTS.CFS: the driver is to reset the controller. Nothing more is fetched. */
  fatal(reason: string, fields: object): void {
    const { csts } = this.registers;
    const said = csts.cfs === 1;
    csts.cfs = 1;
    this.running = false;
    // Once for all the commands that end after it. Bus mastering taken away with commands in flight is how machines reset.
    if (this.host.busMaster && !said) this.host.log.warn(fields, `the controller has failed: ${reason}`);
    else this.host.log.debug(fields, `the controller has failed: ${reason}`);
  }

  failed(reason: string): void {
    this.fatal(reason, { inFlight: this.inFlight });
  }

  memoryChanged(): void {
    if (this.running) this.wake();
  }

  /** Drives that have another size are shown so from now on. */
  reload(): void {
    for (const namespace of this.namespaces.remeasure()) this.changed.attributes(namespace);
  }

  async quiesce(): Promise<void> {
    this.quiescing = true;
    this.running = false;
    this.interrupts.tell();
    this.health.busy.stop();
    if (this.inFlight > 0) {
      await new Promise<void>((resolve) => {
        this.turns.whenIdle = resolve;
      });
    }
    await this.jobs.stop();
    const closed = await this.namespaces.close();
    this.#pool?.close();
    for (const result of closed) if (result.status === 'rejected') throw result.reason;
  }
}
