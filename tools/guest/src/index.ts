export type { CommandResult } from './agent.ts';
export { ProvisionError } from './archive.ts';
export { bootDiskBytes, writeBootDisk } from './boot-disk.ts';
export { DeviceProcess } from './device-process.ts';
export { Guest } from './guest.ts';
export type { Accelerator, GuestOptions, VfioUserDevice } from './machine.ts';
export { prepareGuests } from './prepare.ts';
export { provision } from './provision.ts';
export type { QmpEvent } from './qmp.ts';
