export * from './idio16-driver.ts';
export * from './registers.ts';
