import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, copyFileSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { chooseAccelerator } from './accelerator.ts';
import { type Firmware, type FirmwareName, provisionFirmware } from './firmware.ts';
import { bareMachine, type VfioUserDevice, vfioUserDevice } from './machine.ts';
import { provision } from './provision.ts';
import { SerialConsole } from './serial-console.ts';

export interface FirmwareOptions {
  firmware: FirmwareName;
  devices: readonly (string | VfioUserDevice)[];
  /** As for guests: memory that device processes can map (the default), or reach by messages only. */
  sharedMemory?: boolean;
}

/** A machine with firmware and devices, and no operating system: what it does is on its serial console. */
export class FirmwareMachine {
  readonly exited: Promise<void>;
  readonly #child: ChildProcess;
  readonly #console: SerialConsole;
  #ended = '';

  private constructor(child: ChildProcess, console: SerialConsole, folder: string) {
    this.#child = child;
    this.#console = console;
    const killNow = (): void => void child.kill('SIGKILL');
    process.once('exit', killNow);
    this.exited = new Promise((resolve) => {
      const ended = (how: string): void => {
        process.removeListener('exit', killNow);
        this.#ended = `QEMU ended (${how}): ${readFileSync(join(folder, 'qemu.log'), 'utf8')}`;
        console.close();
        rmSync(folder, { recursive: true, force: true });
        resolve();
      };
      child.once('exit', (status, signal) => ended(signal ?? `status ${status}`));
      child.once('error', (error) => ended(error.message));
    });
  }

  static async start(options: FirmwareOptions): Promise<FirmwareMachine> {
    const { qemu } = await provision();
    const firmware = await provisionFirmware();
    const accelerator = await chooseAccelerator();
    const folder = mkdtempSync(join(tmpdir(), 'sidecard-firmware-'));
    const path = join(folder, 'console');
    const console = await SerialConsole.listen(path);
    const stderr = openSync(join(folder, 'qemu.log'), 'a');
    const args = [
      ...qemu.command.slice(1),
      ...bareMachine({ memoryMiB: 512, sharedMemory: options.sharedMemory ?? true, cpus: 1 }, accelerator),
      ...['-chardev', `socket,id=console,path=${path}`, '-serial', 'chardev:console'],
      ...firmwareArguments(firmware, options.firmware, folder),
      ...options.devices.flatMap((device) => ['-device', JSON.stringify(vfioUserDevice(device))]),
    ];
    const child = spawn(qemu.command[0] as string, args, {
      env: { ...process.env, ...qemu.env },
      stdio: ['ignore', stderr, stderr],
    });
    closeSync(stderr);
    return new FirmwareMachine(child, console, folder);
  }

  /** What the console prints from where the last wait ended up to and with that text. */
  async until(text: string, timeoutMs = 120_000): Promise<string> {
    const ended = new AbortController();
    const late = sleep(timeoutMs, undefined, { signal: ended.signal }).then(
      () => `no "${text}" in ${timeoutMs / 1000} s`,
    );
    const printed = this.#console.until(text);
    const outcome = await Promise.race([printed.then(() => ''), late, this.exited.then(() => this.#ended)]);
    ended.abort();
    late.catch(() => {});
    if (outcome === '') return printed;
    const tail = this.#console.printed.split('\n').slice(-30).join('\n');
    throw new Error(`${outcome}\nThe console ends with:\n${tail}`);
  }

  /** Types a line. */
  type(line: string): void {
    this.#console.type(`${line}\r`);
  }

  /** Switches off. */
  async stop(): Promise<void> {
    this.#child.kill('SIGTERM');
    await this.exited;
  }
}

function firmwareArguments(firmware: Firmware, name: FirmwareName, folder: string): string[] {
  if (name === 'u-boot') return ['-bios', firmware.uBoot];
  const variables = join(folder, 'variables.fd');
  copyFileSync(firmware.ovmf.variables, variables);
  const flash = (file: string, readonly: string): string[] => [
    '-drive',
    `if=pflash,format=raw,file=${file},readonly=${readonly}`,
  ];
  return [...flash(firmware.ovmf.code, 'on'), ...flash(variables, 'off')];
}
