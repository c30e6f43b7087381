import { driver, type RegisterDriver } from '../driver.ts';
import type { Ram } from '../guest-ram.ts';
import type { PciFunctionHandle } from '../pci/function-handle.ts';
import type { InterruptVector } from '../pci/interrupt-vector.ts';
import type { InterruptMode } from '../pci/port.ts';
import { until } from '../until.ts';
import { type BlockRange, type CopyOptions, copyCommand, copySources, datasetRanges } from './block-ranges.ts';
import { AdminOpcode, type NvmeCommand, type NvmeCompletion, NvmeError, NvmOpcode } from './command.ts';
import { type DataOptions, dataBuffer, pointed } from './data-buffer.ts';
import { type Doorbells, ShadowDoorbells, TrappedDoorbells } from './doorbells.ts';
import { type ControllerIdentity, type NamespaceIdentity, parseController, parseNamespace } from './identity.ts';
import { QueuePair } from './queue-pair.ts';
import { NvmeRegisters } from './registers.ts';

export interface NvmeDriverOptions {
  /** How completions are noticed: by polling unless given. */
  readonly interrupts?: InterruptMode | 'polled';
  /** Vectors to enable (MSI, MSI-X); as many as I/O queues will use, and the admin queue's. */
  readonly vectors?: number;
  readonly adminEntries?: number;
}

export interface QueueOptions {
  readonly entries?: number;
  /** The interrupt vector; by default the queue's number modulo the vectors. Null: polled, with interrupts off (IEN 0). */
  readonly vector?: number | null;
}

/** Drives an NVMe controller as a guest would: queues in guest memory, doorbells, interrupts or polling. */
export class NvmeDriver {
  readonly function: PciFunctionHandle;
  readonly ram: Ram;
  readonly registers: RegisterDriver<typeof NvmeRegisters.declaration>;
  readonly trapped: TrappedDoorbells;
  readonly vectors: readonly InterruptVector[];
  readonly options: NvmeDriverOptions;
  /** For queues made from now on. */
  doorbells: Doorbells;
  admin: QueuePair;
  readonly queues = new Map<number, QueuePair>();

  /** Switches bus mastering and interrupts on; `enable` starts the controller. */
  constructor(handle: PciFunctionHandle, options: NvmeDriverOptions = {}) {
    const { interrupts = 'polled', vectors = interrupts === 'msix' ? 4 : 1 } = options;
    this.function = handle;
    this.options = options;
    this.ram = handle.port.ram;
    handle.setBusMaster(true);
    this.vectors = interrupts === 'polled' ? [] : handle.enableInterrupts(interrupts, vectors);
    this.registers = driver(NvmeRegisters, handle.bar(0));
    this.trapped = new TrappedDoorbells(handle.bar(0), this.registers.cap.dstrd);
    this.doorbells = this.trapped;
    this.admin = this.#adminQueue();
  }

  /** Resets and starts the controller with an empty admin queue (NVMe Base 2.0, 3.5.1). */
  async enable(): Promise<void> {
    await this.disable();
    this.admin.free();
    this.admin = this.#adminQueue();
    const { registers, admin } = this;
    registers.aqa = ((admin.entries - 1) << 16) | (admin.entries - 1);
    registers.asq = admin.sqIova;
    registers.acq = admin.cqIova;
    // 64-byte submission entries, 16-byte completion entries, 4 KiB pages, the NVM command set.
    registers.cc.value = (4 << 20) | (6 << 16) | 1;
    await this.#status(() => registers.csts.rdy === 1, 'CSTS.RDY to be 1');
  }

  /** CC.EN to 0, and waits for CSTS.RDY: then no request of before touches guest memory any more. */
  async disable(): Promise<void> {
    this.registers.cc.value = 0;
    await this.#status(() => this.registers.csts.rdy === 0, 'CSTS.RDY to be 0');
    for (const queue of this.queues.values()) queue.free();
    this.queues.clear();
    this.doorbells = this.trapped;
  }

  /** CC.SHN: orderly, and waits until it is complete. */
  async shutdown(): Promise<void> {
    this.registers.cc.shn = 1;
    await this.#status(() => this.registers.csts.shst === 2, 'the shutdown to be complete');
  }

  /** An admin command. @throws NvmeError */
  async adminCommand(command: NvmeCommand, timeoutMs?: number): Promise<NvmeCompletion> {
    return this.command(this.admin, command, timeoutMs);
  }

  /** A command and its completion. @throws NvmeError */
  async command(queue: QueuePair, command: NvmeCommand, timeoutMs?: number): Promise<NvmeCompletion> {
    const completion = await this.submit(queue, command, timeoutMs);
    if (completion.status !== 0) throw new NvmeError(completion, command.opcode);
    return completion;
  }

  /** A command as it is, right or wrong, and its completion, whatever its status. */
  async submit(queue: QueuePair, command: NvmeCommand, timeoutMs?: number): Promise<NvmeCompletion> {
    return queue.completion(queue.submit(command), timeoutMs);
  }

  async identify(cns: number, nsid = 0, more: Partial<NvmeCommand> = {}): Promise<Uint8Array> {
    const command = { opcode: AdminOpcode.identify, nsid, cdw10: cns, ...more };
    return this.transferIn(this.admin, command, 4096);
  }

  async identifyController(): Promise<ControllerIdentity> {
    return parseController(await this.identify(1));
  }

  async identifyNamespace(nsid: number): Promise<NamespaceIdentity> {
    return parseNamespace(await this.identify(0, nsid));
  }

  /** Get Log Page, `sizeBytes` from `offset` on. */
  async logPage(page: number, sizeBytes: number, nsid = 0xffff_ffff, offset = 0): Promise<Uint8Array> {
    const dwords = sizeBytes / 4 - 1;
    const cdw10 = (((dwords & 0xffff) << 16) | page) >>> 0;
    const command = { opcode: AdminOpcode.getLogPage, nsid, cdw10, cdw11: dwords >>> 16, cdw12: offset };
    return this.transferIn(this.admin, command, sizeBytes);
  }

  /** Dword 0 of the completion. */
  async setFeature(feature: number, cdw11: number, nsid = 0): Promise<number> {
    return (await this.adminCommand({ opcode: AdminOpcode.setFeatures, nsid, cdw10: feature, cdw11 })).dw0;
  }

  async getFeature(feature: number, nsid = 0): Promise<number> {
    return (await this.adminCommand({ opcode: AdminOpcode.getFeatures, nsid, cdw10: feature })).dw0;
  }

  /** Creates a completion queue and a submission queue of the same number. */
  async createQueues(id: number, options: QueueOptions = {}): Promise<QueuePair> {
    const { entries = 64 } = options;
    const shared = this.vectors.length === 0 ? null : id % this.vectors.length;
    const number = options.vector === undefined ? shared : options.vector;
    const vector = number === null ? null : this.vectors[number]!;
    const queue = new QueuePair(this.ram, this.function.port, this.doorbells, { id, entries, vector });
    const cdw10 = ((entries - 1) << 16) | id;
    const completion = { opcode: AdminOpcode.createCompletionQueue, prp1: queue.cqIova, cdw10 };
    await this.adminCommand({ ...completion, cdw11: number === null ? 1 : (number << 16) | 3 });
    const submission = { opcode: AdminOpcode.createSubmissionQueue, prp1: queue.sqIova, cdw10 };
    await this.adminCommand({ ...submission, cdw11: (id << 16) | 1 });
    this.queues.set(id, queue);
    return queue;
  }

  async deleteQueues(id: number): Promise<void> {
    await this.adminCommand({ opcode: AdminOpcode.deleteSubmissionQueue, cdw10: id });
    await this.adminCommand({ opcode: AdminOpcode.deleteCompletionQueue, cdw10: id });
    this.queues.get(id)?.free();
    this.queues.delete(id);
  }

  /** Doorbell Buffer Config: queues made from now on use shadow doorbells. */
  async useShadowDoorbells(): Promise<ShadowDoorbells> {
    const shadow = this.ram.allocate(4096);
    const eventIdx = this.ram.allocate(4096);
    await this.adminCommand({ opcode: AdminOpcode.doorbellBufferConfig, prp1: shadow, prp2: eventIdx });
    const { trapped, ram } = this;
    const doorbells = new ShadowDoorbells(ram, shadow, eventIdx, trapped, this.registers.cap.dstrd);
    this.doorbells = doorbells;
    return doorbells;
  }

  async read(queue: QueuePair, nsid: number, lba: number, sizeBytes: number, options: IoOptions): Promise<Uint8Array> {
    const command = blockCommand(NvmOpcode.read, nsid, lba, sizeBytes, options);
    return this.transferIn(queue, command, sizeBytes, options);
  }

  async write(queue: QueuePair, nsid: number, lba: number, data: Uint8Array, options: IoOptions): Promise<void> {
    await this.transferOut(queue, blockCommand(NvmOpcode.write, nsid, lba, data.length, options), data, options);
  }

  async compare(queue: QueuePair, nsid: number, lba: number, data: Uint8Array, options: IoOptions): Promise<void> {
    await this.transferOut(queue, blockCommand(NvmOpcode.compare, nsid, lba, data.length, options), data, options);
  }

  async flush(queue: QueuePair, nsid: number): Promise<void> {
    await this.command(queue, { opcode: NvmOpcode.flush, nsid });
  }

  async writeZeroes(queue: QueuePair, nsid: number, lba: number, sizeBytes: number, options: IoOptions): Promise<void> {
    await this.command(queue, blockCommand(NvmOpcode.writeZeroes, nsid, lba, sizeBytes, options));
  }

  async writeUncorrectable(
    queue: QueuePair,
    nsid: number,
    lba: number,
    sizeBytes: number,
    options: IoOptions,
  ): Promise<void> {
    await this.command(queue, blockCommand(NvmOpcode.writeUncorrectable, nsid, lba, sizeBytes, options));
  }

  async verify(queue: QueuePair, nsid: number, lba: number, sizeBytes: number, options: IoOptions): Promise<void> {
    await this.command(queue, blockCommand(NvmOpcode.verify, nsid, lba, sizeBytes, options));
  }

  /** Dataset Management, deallocate. */
  async deallocate(
    queue: QueuePair,
    nsid: number,
    ranges: readonly BlockRange[],
    options?: DataOptions,
  ): Promise<void> {
    const command = { opcode: NvmOpcode.datasetManagement, nsid, cdw10: ranges.length - 1, cdw11: 4 };
    await this.transferOut(queue, command, datasetRanges(ranges), options);
  }

  /** Copy, of sources to what begins at `lba`. */
  async copy(
    queue: QueuePair,
    nsid: number,
    lba: number,
    sources: readonly BlockRange[],
    options: CopyOptions = {},
  ): Promise<void> {
    await this.transferOut(queue, copyCommand(nsid, lba, sources, options), copySources(sources, options), options);
  }

  /** Compare and Write, fused: the completions of both halves. */
  async compareAndWrite(
    queue: QueuePair,
    nsid: number,
    lba: number,
    expected: Uint8Array,
    data: Uint8Array,
    options: IoOptions,
  ): Promise<[NvmeCompletion, NvmeCompletion]> {
    const half = (opcode: number, fuse: number, bytes: Uint8Array) => {
      const buffer = dataBuffer(this.ram, bytes.length, 'out', options);
      buffer.store(bytes);
      const command = { ...blockCommand(opcode, nsid, lba, bytes.length, options), flags: fuse };
      return { buffer, cid: queue.push(pointed(command, buffer)) };
    };
    const halves = [half(NvmOpcode.compare, 1, expected), half(NvmOpcode.write, 2, data)] as const;
    queue.ring();
    const completions = await Promise.all(halves.map(({ cid }) => queue.completion(cid)));
    for (const { buffer } of halves) buffer.free();
    return completions as [NvmeCompletion, NvmeCompletion];
  }

  /** A command that gives data. @throws NvmeError */
  async transferIn(
    queue: QueuePair,
    command: NvmeCommand,
    sizeBytes: number,
    options?: DataOptions,
  ): Promise<Uint8Array> {
    const buffer = dataBuffer(this.ram, sizeBytes, 'in', options);
    await this.command(queue, pointed(command, buffer));
    const data = buffer.load();
    buffer.free();
    return data;
  }

  /** A command that takes data. @throws NvmeError */
  async transferOut(queue: QueuePair, command: NvmeCommand, data: Uint8Array, options?: DataOptions): Promise<void> {
    const buffer = dataBuffer(this.ram, data.length, 'out', options);
    buffer.store(data);
    await this.command(queue, pointed(command, buffer));
    buffer.free();
  }

  #adminQueue(): QueuePair {
    const { adminEntries: entries = 32 } = this.options;
    const vector = this.vectors[0] ?? null;
    return new QueuePair(this.ram, this.function.port, this.trapped, { id: 0, entries, vector });
  }

  async #status(condition: () => boolean, what: string): Promise<void> {
    await until(this.function.port, () => this.registers.csts.cfs === 1 || condition(), what);
    if (this.registers.csts.cfs === 1 && !condition()) throw new Error(`CSTS.CFS while waiting for ${what}`);
  }
}

export interface IoOptions extends DataOptions {
  /** Of the namespace, bytes. */
  readonly blockBytes: number;
  readonly fua?: boolean;
}

/** Read, write, compare, write zeroes (NVM Command Set 1.0, 3.2). */
export function blockCommand(
  opcode: number,
  nsid: number,
  lba: number,
  sizeBytes: number,
  { blockBytes, fua = false }: IoOptions,
): NvmeCommand {
  const cdw12 = (sizeBytes / blockBytes - 1) | (fua ? 1 << 30 : 0);
  return { opcode, nsid, cdw10: lba % 0x1_0000_0000, cdw11: Math.floor(lba / 0x1_0000_0000), cdw12 };
}
