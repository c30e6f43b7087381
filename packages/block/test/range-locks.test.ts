import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RangeLocks } from '../src/index.ts';

interface Held {
  slot: number;
  start: number;
  end: number;
  alone: boolean;
}

const clash = (a: Held, b: Held) => a.start < b.end && b.start < a.end && (a.alone || b.alone);

test('who holds a range alone holds it alone, nobody starves, everybody gets it', () => {
  const step = fc.record({
    start: fc.nat(40),
    length: fc.integer({ min: 1, max: 12 }),
    alone: fc.boolean(),
    release: fc.nat(),
    releases: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const locks = new RangeLocks(128);
      const held: Held[] = [];
      const waiting: Held[] = [];
      const granted = (entry: Held) => {
        expect(held.some((other) => clash(entry, other))).toBe(false);
        held.push(entry);
      };
      const settle = () => {
        for (let slot = locks.next(); slot >= 0; slot = locks.next()) {
          const at = waiting.findIndex((entry) => entry.slot === slot);
          const [entry] = waiting.splice(at, 1);
          // Nobody is overtaken by a later one that is in its way.
          expect(waiting.slice(0, at).some((earlier) => clash(earlier, entry!))).toBe(false);
          granted(entry!);
        }
      };
      const releaseOne = (which: number) => {
        const [entry] = held.splice(which % held.length, 1);
        locks.release(entry!.slot);
        settle();
      };
      steps.forEach(({ start, length, alone, release, releases }, slot) => {
        const entry = { slot, start, end: start + length, alone };
        if (locks.take(slot, start, length, alone)) {
          expect(waiting.some((earlier) => clash(earlier, entry))).toBe(false);
          granted(entry);
        } else waiting.push(entry);
        if (releases && held.length > 0) releaseOne(release);
      });
      while (held.length > 0) releaseOne(0);
      expect(waiting).toEqual([]);
      expect(locks.waiting).toBe(0);
    }),
  );
});
