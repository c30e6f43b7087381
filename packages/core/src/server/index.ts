export * from './channel.ts';
export * from './channel-pair.ts';
export * from './device-server.ts';
export * from './socket-channel.ts';
