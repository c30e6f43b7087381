import { join } from 'node:path';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import type { Native } from '@sidecard/native';
import { temporaryFolder } from '../process/temporary-folder.ts';
import { LineSocket, Qmp } from '../qmp/index.ts';
import { QemuProcess } from './qemu-process.ts';
import { QtestConnection } from './qtest-connection.ts';
import { QtestPort } from './qtest-port.ts';
import { hex, QtestRam } from './qtest-ram.ts';

/** How long QEMU may take to start and to attach its devices, ms. */
const START_TIMEOUT_MS = 20_000;
/** Its clients wait up to 5 s for a device's answer to its reset. */
const RESET_TIMEOUT_MS = 15_000;
const END_TIMEOUT_MS = 10_000;
/** Where memory-mapped config space is put, as firmware does on q35. */
const ECAM = 0xb000_0000;
/** Drivers get memory from here on: above what firmware and legacy devices have. */
const RAM_START = 0x10_0000;

export interface QtestMachineOptions {
  /** QEMU 10.1 or later, as the beginning of an argument list. */
  readonly command: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** Sockets of devices, in other processes or with `deviceTurn`: slot 4 and on. Several in one slot are functions 0 and on of one device. */
  readonly sockets: readonly (string | readonly string[])[];
  readonly memoryMiB?: number;
  /** Guest memory that device processes can map (unless told), or private, so that they ask by messages. */
  readonly sharedMemory?: boolean;
  /** Gives devices that are served on this thread time while QEMU is waited for. True when they did something. */
  readonly deviceTurn?: () => boolean;
}

/**
 * A machine in QEMU without a processor: the test is the processor (qtest). Its devices are reached through QEMU's own vfio-user-pci, so that a
 * driver meets what a guest would.
 */
export class QtestMachine {
  readonly ram: QtestRam;
  readonly ports: readonly QtestPort[];
  /** The monitor: what the machine's state is, devices that come and go. Its answers come on the event loop, which accesses block. */
  readonly qmp: Qmp;
  readonly #connection: QtestConnection;
  readonly #qemu: QemuProcess;
  readonly #deviceTurn: () => boolean;

  private constructor(qemu: QemuProcess, connection: QtestConnection, qmp: Qmp, options: QtestMachineOptions) {
    const { memoryMiB = 128, sockets, deviceTurn = () => false } = options;
    this.#deviceTurn = deviceTurn;
    this.#qemu = qemu;
    this.#connection = connection;
    this.qmp = qmp;
    this.ram = new QtestRam(connection, RAM_START, memoryMiB * 2 ** 20 - RAM_START);
    this.ports = places(sockets).map(({ slot, number }) => new QtestPort(connection, this.ram, slot, ECAM, number));
    connection.command('irq_intercept_in ioapic');
    this.#enableEcam();
  }

  /** Starts QEMU and attaches the devices. @throws Error with what QEMU printed. */
  static async start(native: Native, options: QtestMachineOptions): Promise<QtestMachine> {
    const { command, env = {}, deviceTurn } = options;
    if (command.length === 0) throw new Error('QEMU: an empty command');
    const folder = temporaryFolder();
    const path = join(folder, 'qtest');
    const monitor = join(folder, 'qmp');
    const qmp = new Qmp(await LineSocket.listen(monitor));
    const listening = native.listen(path, 0o600, 1);
    const words = [...command, ...machineArguments(path, monitor, options)];
    const qemu = new QemuProcess(words, folder, env, (error) => qmp.close(error));
    let connection: QtestConnection | null = null;
    try {
      const deadline = performance.now() + START_TIMEOUT_MS;
      for (;;) {
        const fd = native.accept(listening);
        if (fd >= 0) {
          connection = new QtestConnection(native, fd, deviceTurn, () => qemu.printed);
          return new QtestMachine(qemu, connection, qmp, options);
        }
        if (qemu.ended !== null) throw qemu.error('ended');
        if (performance.now() > deadline) throw qemu.error(`has not come up in ${START_TIMEOUT_MS} ms`);
        await (deviceTurn?.() === true ? setImmediate() : sleep(1));
      }
    } catch (reason) {
      connection?.close();
      qmp.close(reason as Error);
      qemu.remove();
      throw reason;
    } finally {
      native.close(listening);
    }
  }

  /** As its reset button: every device is as after power-on, its BARs without addresses. @throws when QEMU has gone, or does not. */
  async reset(): Promise<void> {
    let reset = false;
    this.qmp.event('RESET').then(
      () => {
        reset = true;
      },
      () => {}, // It has gone, which is seen below.
    );
    void this.qmp.execute('system_reset').catch(() => {});
    await this.#turnUntil(() => reset || this.#qemu.ended !== null, RESET_TIMEOUT_MS);
    if (!reset) throw this.#qemu.error(this.#qemu.ended === null ? 'does not reset' : 'has gone');
    this.#enableEcam();
  }

  /** Returns when what devices have told QEMU so far has gone on to the machine: interrupts above all. */
  settle(): void {
    this.#connection.passMainLoop();
  }

  /** Ends QEMU, as a machine that is switched off. @throws when it does not end, and kills it. */
  async close(): Promise<void> {
    this.#qemu.signal('SIGTERM');
    try {
      // It says goodbye to its devices.
      await this.#turnUntil(() => this.#qemu.ended !== null, END_TIMEOUT_MS);
      if (this.#qemu.ended === null) throw this.#qemu.error(`has not ended ${END_TIMEOUT_MS} ms after SIGTERM`);
    } finally {
      this.#connection.close();
      this.#qemu.remove();
      this.qmp.close(new Error('QEMU has ended'));
    }
  }

  async #turnUntil(condition: () => boolean, timeoutMs: number): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    while (!condition() && performance.now() < deadline) await (this.#deviceTurn() ? setImmediate() : sleep(1));
  }

  /** PCIEXBAR of the host bridge (Intel 82Q35 datasheet, 5.1.16): enabled, 256 MiB. */
  #enableEcam(): void {
    this.#connection.command('outl 0xcf8 0x80000060');
    this.#connection.command(`outl 0xcfc ${hex(ECAM + 1)}`);
  }
}

const firstSlot = 4;

/** A function on bus 0. */
interface Place {
  readonly socket: string;
  readonly slot: number;
  readonly number: number;
  /** Its slot has others. */
  readonly more: boolean;
}

function places(sockets: QtestMachineOptions['sockets']): Place[] {
  return sockets.flatMap((one, index) => {
    const functions = typeof one === 'string' ? [one] : one;
    const more = functions.length > 1;
    return functions.map((socket, number) => ({ socket, slot: firstSlot + index, number, more }));
  });
}

function machineArguments(path: string, monitor: string, options: QtestMachineOptions): string[] {
  const { memoryMiB = 128, sharedMemory = true, sockets } = options;
  const backend = sharedMemory
    ? `memory-backend-memfd,id=ram,size=${memoryMiB}M,share=on`
    : `memory-backend-ram,id=ram,size=${memoryMiB}M`;
  return [
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-accel', 'qtest', '-qtest', `unix:${path}`],
    ...['-qmp', `unix:${monitor}`],
    // Else every command is logged to a pipe that nobody reads while the test waits for its answer.
    ...['-qtest-log', '/dev/null'],
    ...['-machine', 'q35,memory-backend=ram,sata=off,smbus=off', '-m', `${memoryMiB}M`, '-object', backend],
    ...places(sockets).flatMap(({ socket, slot, number, more }) => [
      '-device',
      JSON.stringify({
        driver: 'vfio-user-pci',
        socket: { type: 'unix', path: socket },
        addr: `${slot.toString(16)}.${number}`,
        ...(more && number === 0 && { multifunction: true }),
      }),
    ]),
  ];
}
