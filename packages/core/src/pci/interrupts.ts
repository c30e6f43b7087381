import { IrqIndex, IrqInfoFlag, IrqSetFlag } from '../protocol/messages.ts';
import type { Interrupts } from './device.ts';
import { EINVAL } from './errno.ts';
import type { InterruptCard } from './interrupt-card.ts';
import { IntxLine } from './intx-line.ts';
import { sensible } from './irq-set.ts';
import { MessageVectors, type VectorBits } from './message-vectors.ts';
import { type EventFds, OwnedFds } from './owned-fds.ts';

export type { EventFds };

const noBits: VectorBits = { masked: () => false, pending: () => false, setPending: () => {} };

/**
 * INTx, MSI, MSI-X, ERR and REQ towards the client: eventfds by SET_IRQS on one side, the device's signals on the other.
 * A function uses MSI-X or MSI while its capability is enabled, or, for clients whose driver never enables one, while the client has
 * set vectors up; INTx otherwise. A message that cannot be sent is pending until it can be, also while its kind is switched off, unless
 * the device withdraws it or a reset comes (PCI Local Bus 3.0, 6.8.3.5). The client's fds survive resets and are closed when replaced, removed, or at `disconnect`.
 */
export class InterruptController implements Interrupts {
  readonly #eventFds: EventFds;
  readonly #error: OwnedFds;
  readonly #request: OwnedFds;
  #card: InterruptCard | null = null;
  #intx: IntxLine | null = null;
  #msi: MessageVectors;
  #msix: MessageVectors;
  #mode: Interrupts['mode'] = 'none';
  #vectors = 0;

  constructor(eventFds: EventFds) {
    this.#eventFds = eventFds;
    this.#error = new OwnedFds(eventFds, 1);
    this.#request = new OwnedFds(eventFds, 1);
    this.#msi = new MessageVectors(eventFds, 0, noBits);
    this.#msix = new MessageVectors(eventFds, 0, noBits);
  }

  /** Called by PciFunction: until then there is no interrupt to use. */
  attach(card: InterruptCard): void {
    if (this.#card !== null) throw new Error('interrupts belong to one function');
    this.#card = card;
    if (card.intx) this.#intx = new IntxLine(this.#eventFds, card.state, () => this.#level() && !card.intxDisabled());
    if (card.msi) this.#msi = new MessageVectors(this.#eventFds, card.msi.vectors, card.msi.bits);
    if (card.msix) this.#msix = new MessageVectors(this.#eventFds, card.msix.vectors, card.msix.bits);
    this.changed();
  }

  get mode(): Interrupts['mode'] {
    return this.#mode;
  }

  get vectors(): number {
    return this.#vectors;
  }

  signal(vector: number): void {
    if (this.#mode === 'msix') {
      if (vector >= this.#vectors) throw new RangeError(`MSI-X vector ${vector} of ${this.#vectors}`);
      this.#msix.signal(vector);
    } else if (this.#mode === 'msi') this.#msi.signal(vector % this.#vectors);
  }

  isPending(vector: number): boolean {
    return this.#msix.isPending(vector) || this.#msi.isPending(vector);
  }

  withdraw(vector: number): void {
    this.#msix.withdraw(vector);
    // With fewer MSI vectors than there are one stands for several, and the others may still want it.
    if (this.#vectors === this.#msi.count) this.#msi.withdraw(vector);
  }

  update(): void {
    if (this.#intx === null) return;
    this.#card!.showLevel(this.#level());
    this.#intx.update();
  }

  /** Config space has changed: what is enabled, masked, or allowed on the bus. */
  changed(): void {
    const card = this.#card!;
    const { msi, msix } = card;
    if (msi?.enabled() || msix?.enabled()) this.#trustEnableBits(card);
    this.#mode = this.#modeNow(card);
    if (this.#mode === 'msix') this.#vectors = this.#msix.count;
    else if (this.#mode === 'msi') this.#vectors = msi!.enabled() ? msi!.enabledVectors() : this.#msi.armedCount;
    else this.#vectors = this.#mode === 'intx' ? 1 : 0;
    if (this.#mode === 'msi') this.#msi.fold(this.#vectors);
    if (msi) this.#msi.hold(this.#mode !== 'msi' || !card.busMaster());
    if (msix) this.#msix.hold(this.#mode !== 'msix' || !card.busMaster() || msix.functionMasked());
    this.update();
  }

  /** GET_IRQ_INFO: how many interrupts the index has; 0 for one that does not exist. */
  count(index: number): number {
    switch (index) {
      case IrqIndex.intx:
        return this.#intx === null ? 0 : 1;
      case IrqIndex.msi:
        return this.#msi.count;
      case IrqIndex.msix:
        return this.#msix.count;
      case IrqIndex.err:
      case IrqIndex.req:
        return 1;
      default:
        return 0;
    }
  }

  /** GET_IRQ_INFO: VFIO_IRQ_INFO_*. Never NORESIZE: vectors can be added later. */
  flags(index: number): number {
    if (this.count(index) === 0) return 0;
    if (index === IrqIndex.intx) return IrqInfoFlag.eventfd | IrqInfoFlag.maskable | IrqInfoFlag.automasked;
    return IrqInfoFlag.eventfd;
  }

  /**
   * SET_IRQS. `flags` are VFIO_IRQ_SET_*; the bytes of DATA_BOOL are in `data` at `dataOffset` (more are tolerated). `fds` has an eventfd
   * for each interrupt from `start` on, or none: then those of the range are removed. It owns `fds` from here on, also when it answers EINVAL
   * (the index, range, data or fds make no sense; masks of anything but INTx, which GET_IRQ_INFO does not offer); else it answers 0.
   */
  set(
    index: number,
    flags: number,
    start: number,
    count: number,
    data: Uint8Array,
    dataOffset: number,
    dataLengthBytes: number,
    fds: readonly number[],
  ): number {
    const known = sensible(this.count(index), flags, start, count, dataLengthBytes, fds.length);
    const trigger = (flags & IrqSetFlag.trigger) !== 0;
    if (!known || index < 0 || index > IrqIndex.req || (!trigger && index !== IrqIndex.intx)) {
      for (let i = 0; i < fds.length; i++) this.#eventFds.close(fds[i]!);
      return EINVAL;
    }
    if (count === 0) this.#clear(index);
    for (let i = 0; i < count; i++) {
      if (flags & IrqSetFlag.dataEventfd) this.#setFd(index, flags, start + i, fds.length === 0 ? -1 : fds[i]!);
      else if (flags & IrqSetFlag.dataNone || data[dataOffset + i] !== 0) this.#act(index, flags, start + i);
    }
    if (this.#card !== null) this.changed();
    return 0;
  }

  /** The device cannot go on: signals ERR, which stops the machine. False when the client has not asked for it: it is told when it does. */
  fail(): boolean {
    const told = this.#error.has(0);
    this.#error.signal(0);
    if (!told && this.#card !== null) this.#card.state.failed = 1;
    return told;
  }

  /** REQ: asks the client to let the device go. False when it has not asked for it. */
  requestRelease(): boolean {
    this.#request.signal(0);
    return this.#request.has(0);
  }

  /** After the registers have been reset: what was pending is forgotten, the client's fds stay. */
  reset(): void {
    if (this.#card === null) return;
    this.#card.state.tableWritten = 0;
    this.#card.state.failed = 0;
    this.#msi.forget();
    this.#msix.forget();
    this.changed();
  }

  /** The client has gone: every fd is closed; what the driver has set up and what is pending stays. */
  disconnect(): void {
    for (let index = 0; index <= IrqIndex.req; index++) this.#clear(index);
    if (this.#card === null) return;
    const { state } = this.#card;
    state.tableWritten = 0;
    state.enableBitsUsed = 0;
    state.failed = 0;
    this.changed();
  }

  #trustEnableBits({ state }: InterruptCard): void {
    if (state.enableBitsUsed === 0) state.enableBitsUsed = 1;
  }

  #modeNow(card: InterruptCard): Interrupts['mode'] {
    if (card.msix?.enabled()) return 'msix';
    if (card.msi?.enabled()) return 'msi';
    if (card.state.enableBitsUsed === 0) {
      if (this.#msix.armed) return 'msix';
      if (this.#msi.armed) return 'msi';
    }
    return card.intx ? 'intx' : 'none';
  }

  #level(): boolean {
    return this.#mode === 'intx' && this.#card!.level();
  }

  #setFd(index: number, flags: number, vector: number, fd: number): void {
    if (index === IrqIndex.msi) this.#msi.set(vector, fd);
    else if (index === IrqIndex.msix) this.#msix.set(vector, fd);
    else if (index === IrqIndex.err) this.#setError(fd);
    else if (index === IrqIndex.req) this.#request.replace(0, fd);
    else if (flags & IrqSetFlag.trigger) this.#intx!.setTrigger(fd);
    else if (flags & IrqSetFlag.mask) this.#intx!.setMask(fd);
    else this.#intx!.setUnmask(fd);
  }

  #setError(fd: number): void {
    this.#error.replace(0, fd);
    if (fd < 0 || this.#card === null || this.#card.state.failed === 0) return;
    this.#card.state.failed = 0;
    this.#error.signal(0);
  }

  #act(index: number, flags: number, vector: number): void {
    if (index === IrqIndex.msi) this.#msi.trigger(vector);
    else if (index === IrqIndex.msix) this.#msix.trigger(vector);
    else if (index === IrqIndex.err) this.#error.signal(0);
    else if (index === IrqIndex.req) this.#request.signal(0);
    else if (flags & IrqSetFlag.trigger) this.#intx!.signal();
    else if (flags & IrqSetFlag.mask) this.#intx!.mask();
    else this.#intx!.unmask();
  }

  #clear(index: number): void {
    if (index === IrqIndex.intx) this.#intx?.clear();
    else if (index === IrqIndex.msi) this.#msi.clear();
    else if (index === IrqIndex.msix) this.#msix.clear();
    else if (index === IrqIndex.err) this.#error.clear();
    else this.#request.clear();
  }
}
