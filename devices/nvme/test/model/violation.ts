/** The device has done what the specification does not allow. */
export class Violation extends Error {}

export function must(condition: boolean, what: () => string): asserts condition {
  if (!condition) throw new Violation(what());
}

export function hex(value: number): string {
  return `${value.toString(16)}h`;
}
