export { Idio16, type Idio16Options } from './card.ts';
export { LineChanges, type LineWatcher } from './line-changes.ts';
export { IdioRegisters } from './registers.ts';
