export { QtestMachine, type QtestMachineOptions } from './qtest-machine.ts';
export { QtestPort } from './qtest-port.ts';
