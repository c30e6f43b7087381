export * from './backend.ts';
export * from './drive.ts';
