import type { Release } from './archive.ts';
import type { GuestImage } from './image.ts';

/** A vfio-user device; further properties are QEMU's: id, bootindex, addr, x-no-posted-writes, ... */
export interface VfioUserDevice {
  socket: string;
  [property: string]: unknown;
}

export interface GuestOptions {
  /** Default 1024. */
  memoryMiB?: number;
  /** Guest memory that device processes can map (the default), or private, so that they must ask by messages. */
  sharedMemory?: boolean;
  /** Default 2. */
  cpus?: number;
  /** Socket paths of device daemons, or with further properties of QEMU's device. */
  devices?: readonly (string | VfioUserDevice)[];
  /** Boot QEMU's own way with -kernel (the default), or let SeaBIOS boot from a device. */
  boot?: 'kernel' | 'disk';
  /** Which Debian release's kernel QEMU boots: trixie's 6.12 by default, bookworm's 6.1, trixie-backports' newest. */
  kernel?: Release;
  /** More words on the kernel's command line, when QEMU boots the kernel. */
  kernelArguments?: string;
  /** More arguments of QEMU. */
  args?: readonly string[];
  /** Until the guest's agent answers; default 120 s. */
  readyTimeoutMs?: number;
  /** Default: kvm where it works, or what SIDECARD_ACCEL says. */
  accelerator?: Accelerator;
  /** The console on this process's terminal, with a shell, instead of in a log. */
  interactive?: boolean;
}

export type Accelerator = 'kvm' | 'tcg';

/** Where the guest's channels are. */
export interface Channels {
  agent: string;
  qmp: string;
  console: string;
}

/** QEMU's -device argument of a vfio-user device, as JSON since its socket is an object. */
export function vfioUserDevice(device: string | VfioUserDevice): { driver: string } & Record<string, unknown> {
  const { socket, ...properties } = typeof device === 'string' ? { socket: device } : device;
  return { driver: 'vfio-user-pci', socket: { type: 'unix', path: socket }, ...properties };
}

/** QEMU's command line for a guest. */
export function machineArguments(
  options: GuestOptions,
  image: GuestImage,
  channels: Channels,
  accelerator: Accelerator,
): string[] {
  const { memoryMiB = 1024, sharedMemory = true, cpus = 2, devices = [], args = [] } = options;
  return [
    ...bareMachine({ memoryMiB, sharedMemory, cpus }, accelerator),
    ...(options.boot === 'disk' ? [] : kernelBoot(options, image)),
    ...channelArguments(channels, options.interactive ?? false),
    ...devices.flatMap((device) => ['-device', JSON.stringify(vfioUserDevice(device))]),
    ...args,
  ];
}

/** Processors, memory and a chipset, and nothing that a guest could boot from or talk through. */
export function bareMachine(
  { memoryMiB, sharedMemory, cpus }: Required<Pick<GuestOptions, 'memoryMiB' | 'sharedMemory' | 'cpus'>>,
  accelerator: Accelerator,
): string[] {
  return [
    ...['-nodefaults', '-no-user-config', '-display', 'none'],
    ...['-machine', 'q35,memory-backend=ram,sata=off,smbus=off', '-m', `${memoryMiB}M`, '-smp', `${cpus}`],
    ...['-object', memoryBackend(memoryMiB, sharedMemory)],
    ...accelerate(accelerator),
  ];
}

function memoryBackend(memoryMiB: number, shared: boolean): string {
  return shared
    ? `memory-backend-memfd,id=ram,size=${memoryMiB}M,share=on`
    : `memory-backend-ram,id=ram,size=${memoryMiB}M`;
}

function accelerate(accelerator: Accelerator): string[] {
  if (accelerator === 'kvm') return ['-accel', 'kvm', '-cpu', 'host'];
  // The oldest processor boots in two thirds of the time of the newest: fewer features to set up and to emulate.
  return ['-accel', 'tcg,thread=multi,tb-size=256', '-cpu', 'qemu64'];
}

function kernelBoot(options: GuestOptions, image: GuestImage): string[] {
  const root = { driver: 'virtio-blk-pci', drive: 'root', addr: '1e.0' };
  const shell = options.interactive ? 'sidecard.shell' : '';
  return [
    ...['-kernel', image.kernel, '-initrd', image.initrd],
    ...['-append', `${kernelCommandLine} sidecard.root=LABEL=sidecard-root ${shell} ${options.kernelArguments ?? ''}`],
    ...['-drive', `file=${image.root},if=none,id=root,format=raw,readonly=on`, '-device', JSON.stringify(root)],
  ];
}

/** Speculation's mitigations cost time and protect nobody here; a panic is a reset, which the host hears of. */
export const kernelCommandLine = 'console=ttyS0 quiet mitigations=off panic=-1';

function channelArguments(channels: Channels, interactive: boolean): string[] {
  return [
    // On a terminal the monitor shares it: its Ctrl-A x is the way out of a guest that hangs.
    ...['-serial', interactive ? 'mon:stdio' : `file:${channels.console}`],
    ...['-qmp', `unix:${channels.qmp}`],
    ...['-chardev', `socket,id=agent,path=${channels.agent}`, '-device', 'virtio-serial-pci,addr=1d.0'],
    ...['-device', 'virtserialport,chardev=agent,name=agent'],
  ];
}
