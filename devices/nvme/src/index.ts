export { Controller, type ControllerOptions } from './controller.ts';
export type { NamespaceOptions } from './namespaces/namespace.ts';
export { ControllerRegisters, DoorbellRegisters } from './registers.ts';
