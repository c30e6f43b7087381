import { loadNative } from '@sidecard/native';
import {
  type DaemonProcess,
  GuestRam,
  MappedDoorbells,
  NvmeDriver,
  type NvmeDriverOptions,
  PciBus,
  type QueuePair,
  qemuOffer,
  VfioUserClient,
  VfioUserPort,
} from '@sidecard/testing';

export interface AttachOptions extends NvmeDriverOptions {
  /** Guest memory: a file that the daemon maps, or answered for by messages. */
  readonly memory: 'mapped' | 'messages';
  readonly doorbells: 'trapped' | 'shadow' | 'mapped';
}

/** A guest whose driver has a daemon's controller running. */
export class Attached {
  readonly ram: GuestRam;
  readonly port: VfioUserPort;
  readonly driver: NvmeDriver;
  readonly queues: QueuePair[] = [];
  readonly options: AttachOptions;
  #closed = false;

  private constructor(daemon: DaemonProcess, options: AttachOptions) {
    const native = loadNative();
    const client = new VfioUserClient(daemon.connect());
    this.options = options;
    this.ram = options.memory === 'mapped' ? GuestRam.shared(native) : GuestRam.private();
    client.version(qemuOffer);
    client.mapRam(this.ram);
    // As QEMU: no DMA is answered while a processor waits for an access.
    client.wire.dmaWaitsForReply = true;
    this.port = new VfioUserPort(native, client, this.ram, { postedWrites: options.doorbells !== 'mapped' });
    this.driver = new NvmeDriver(new PciBus().add(this.port), options);
  }

  static async to(daemon: DaemonProcess, options: AttachOptions): Promise<Attached> {
    const attached = new Attached(daemon, options);
    await attached.start();
    return attached;
  }

  /** (Re)starts the controller, with two I/O queue pairs. */
  async start(): Promise<void> {
    const { driver } = this;
    await driver.enable();
    if (this.options.doorbells === 'shadow') await driver.useShadowDoorbells();
    if (this.options.doorbells === 'mapped') {
      driver.doorbells = new MappedDoorbells(this.port.mapBar(0, 0x1000), driver.registers.cap.dstrd);
    }
    this.queues.length = 0;
    this.queues.push(await driver.createQueues(1, { entries: 16 }), await driver.createQueues(2, { entries: 256 }));
  }

  /** Hangs up, as a virtual machine that is killed. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.port.close();
    this.ram.close();
  }
}
