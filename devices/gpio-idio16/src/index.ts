export { Idio16, type Idio16Options, type LineWatcher } from './card.ts';
export { IdioRegisters } from './registers.ts';
