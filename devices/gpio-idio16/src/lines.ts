const numbers = Array.from({ length: 16 }, (_, line) => line);
/** Names of the lines, by their bit. */
export const outputNames: readonly string[] = numbers.map((line) => `OUT${line}`);
export const inputNames: readonly string[] = numbers.map((line) => `IN${line}`);

/** Lines by name, with their levels. */
export interface Levels {
  readonly [name: string]: 0 | 1;
}

/** The lines of `mask`, with their levels in `bits`. */
export function levelsOf(names: readonly string[], bits: number, mask = 0xffff): Levels {
  const chosen = names.flatMap((name, line) => (mask & (1 << line) ? [[name, (bits >>> line) & 1] as const] : []));
  return Object.fromEntries(chosen) as Levels;
}

/** A bit for each line named. */
export function maskOf(names: readonly string[], chosen: readonly string[]): number {
  return chosen.reduce((mask, name) => mask | (1 << names.indexOf(name)), 0);
}

/** The bits of the lines that are 1. */
export function bitsOf(names: readonly string[], levels: Levels): number {
  return maskOf(
    names,
    Object.keys(levels).filter((name) => levels[name] === 1),
  );
}
