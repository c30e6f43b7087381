export * from './command.ts';
export * from './doorbells.ts';
export * from './identity.ts';
export * from './nvme-driver.ts';
export * from './prp.ts';
export * from './queue-pair.ts';
export * from './registers.ts';
