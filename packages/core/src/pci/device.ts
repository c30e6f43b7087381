import type { GuestMemory } from '../memory/guest-memory.ts';
import type { PollSource } from '../reactor/poll-source.ts';
import type { StateArena } from '../state/arena.ts';
import type { Bar } from './bar.ts';

/** Who a PCI function says it is (PCI Local Bus 3.0, 6.2.1), and which capabilities it has. */
export interface PciIdentity {
  readonly vendor: number;
  readonly device: number;
  readonly revision?: number;
  /** Base class, sub-class and programming interface as one 24-bit number, for instance 0x010802. */
  readonly classCode: number;
  readonly subsystemVendor?: number;
  readonly subsystem?: number;
  readonly interrupts: PciInterrupts;
  /** PCI Express endpoint capability with Function Level Reset. */
  readonly express?: boolean;
  /** Power Management capability (D0 and D3hot). */
  readonly powerManagement?: boolean;
  /** Advanced Error Reporting extended capability. Wants `express`. */
  readonly advancedErrorReporting?: boolean;
  /** Device Serial Number extended capability. Wants `express`. */
  readonly serialNumber?: Uint8Array;
  /** Vendor-specific capabilities: the bytes after the length byte. */
  readonly vendorSpecific?: readonly Uint8Array[];
}

export type InterruptPin = 'A' | 'B' | 'C' | 'D';

export interface PciInterrupts {
  /**
   * A level. True is INTA#, as is every function's that is alone in its device; of several in one device each may have a pin of its own, or share
   * one (PCI Local Bus 3.0, 2.2.6).
   */
  readonly intx?: boolean | InterruptPin;
  /** MSI vectors: 1, 2, 4, 8, 16 or 32. */
  readonly msi?: number;
  readonly msix?: {
    /** 1 to 2048. */
    readonly vectors: number;
    readonly table: { readonly bar: number; readonly offset: number };
    readonly pba: { readonly bar: number; readonly offset: number };
  };
}

/** `conventional` is DEVICE_RESET (a machine reset); `function` is FLR; `disconnect` is a client that has gone. */
export type ResetKind = 'conventional' | 'function' | 'disconnect';

/** The whole contract of a device. */
export interface PciDevice {
  readonly identity: PciIdentity;
  /** By BAR index; a 64-bit BAR takes its index and the next. */
  readonly bars: { readonly [index: number]: Bar };
  /**
   * Brings the registers to their reset values, at once. Requests in flight are disowned: they end without telling the guest.
   * `disconnect` keeps device state (the next client resets it if it wants to) but starts nothing new.
   */
  reset(kind: ResetKind): void;
  /**
   * Requests whose I/O may still touch the guest or the disk, of any generation. The answers to DEVICE_RESET and FLR wait until it is 0.
   */
  readonly inFlight?: number;
  /** The level of the pin, from state alone. Asked for while MSI and MSI-X are off. A device that has `intx` has this. */
  interruptLevel?(): boolean;
  /** A drain took too long: the guest is to see a failed device, and no I/O starts until the old has ended. */
  failed?(reason: string): void;
  /** The guest's memory map has changed. */
  memoryChanged?(): void;
  /** The person asks it to look again at what it stands on (SIGHUP), a drive that has grown for instance. Called outside of a turn, at any time. */
  reload?(): void;
  /** The daemon ends: take no more commands, make what was acknowledged durable. Resolves when that is done. */
  quiesce?(): Promise<void>;
}

export interface Interrupts {
  /** What the driver has switched on. */
  readonly mode: 'none' | 'intx' | 'msi' | 'msix';
  /** Vectors that the driver may use in this mode; 1 for INTx. */
  readonly vectors: number;
  /** MSI, MSI-X: sends the message of a vector, or keeps it pending. MSI with fewer vectors enabled: taken modulo their number. */
  signal(vector: number): void;
  /** MSI, MSI-X: a message of the vector has been asked for, and could not be sent yet. Cheap. */
  isPending(vector: number): boolean;
  /**
   * MSI, MSI-X: what a signal told of has been served without its message (the driver polls): if that is still pending, it is
   * not sent any more (PCI Local Bus 3.0, 6.8.3.5). Whether it is called or not, nothing is lost: a spurious message comes.
   */
  withdraw(vector: number): void;
  /** INTx: the level may have changed; asks the device's interruptLevel(). Cheap when it has not. */
  update(): void;
}

/** Time, injected: real in a daemon, virtual in a test. */
export interface Clock {
  /** Monotonic milliseconds. */
  now(): number;
  /** Milliseconds since 1970. */
  wallTime(): number;
  setTimer(delayMs: number, callback: () => void): Timer;
}
export interface Timer {
  cancel(): void;
}

export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** All that a device gets. */
export interface Host {
  readonly memory: GuestMemory;
  readonly interrupt: Interrupts;
  readonly clock: Clock;
  readonly state: StateArena;
  readonly log: Log;
  /** True while the guest lets the function master the bus; without it all DMA faults. */
  readonly busMaster: boolean;
  /** Runs `work` once, after the access being handled has been answered and before the reactor sleeps. Deferring the same function twice runs it once. */
  defer(work: () => void): void;
  /** Has the reactor look at a source until the returned function is called. */
  poll(source: PollSource): () => void;
  /** The device cannot go on: the ERR interrupt stops the machine, at once or when the client asks for it, unless a reset comes before. */
  fail(reason: string): void;
}
