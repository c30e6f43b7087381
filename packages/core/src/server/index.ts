export * from './channel.ts';
export * from './channel-pair.ts';
export type { DeviceServer, DeviceServerOptions } from './device-server.ts';
