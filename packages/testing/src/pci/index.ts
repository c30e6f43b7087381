export * from './bars.ts';
export * from './bus.ts';
export * from './capabilities.ts';
export * from './function-handle.ts';
export * from './interrupt-vector.ts';
export * from './port.ts';
export * from './vfio-user-port.ts';
