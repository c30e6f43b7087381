/** Lines of the card: OUT0 to OUT15 are bits 0 to 15 of a number, IN0 to IN15 bits 16 to 31. */
export const names = ['OUT', 'IN'].flatMap((kind) => Array.from({ length: 16 }, (_, line) => `${kind}${line}`));

/** @typedef {{ readonly [name: string]: 0 | 1 }} Levels by the lines' names */

/**
 * These levels with some of them changed.
 * @param {number} levels
 * @param {Levels} changed
 */
export function levelsWith(levels, changed) {
  let next = levels;
  for (const [name, level] of Object.entries(changed)) {
    const bit = 1 << names.indexOf(name);
    next = level === 1 ? next | bit : next & ~bit;
  }
  return next >>> 0;
}

/**
 * @param {number} levels
 * @param {number} line
 * @returns {0 | 1}
 */
export function levelOf(levels, line) {
  return ((levels >>> line) & 1) === 1 ? 1 : 0;
}
