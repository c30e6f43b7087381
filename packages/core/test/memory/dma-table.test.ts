import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DmaTable, NO_FILE } from '../../src/memory/dma-table.ts';

const PAGE = 4096;

interface Region {
  iova: number;
  sizeBytes: number;
  row: number;
}

/** What the table is, without any cleverness. */
class Model {
  regions: Region[] = [];

  find(iova: number): Region | undefined {
    return this.regions.find((region) => iova >= region.iova && iova < region.iova + region.sizeBytes);
  }

  overlaps(iova: number, sizeBytes: number): boolean {
    return this.regions.some((region) => iova < region.iova + region.sizeBytes && region.iova < iova + sizeBytes);
  }
}

const page = fc.integer({ min: 0, max: 300 });
const operation = fc.oneof(
  fc.record({ kind: fc.constant('map' as const), page, pages: fc.integer({ min: 1, max: 20 }), high: fc.boolean() }),
  fc.record({ kind: fc.constant('unmap' as const), which: fc.nat(), pinned: fc.boolean() }),
  fc.record({
    kind: fc.constant('find' as const),
    page,
    byte: fc.integer({ min: 0, max: PAGE - 1 }),
    high: fc.boolean(),
  }),
);
/** Where QEMU puts RAM above 4 GiB, and then some. */
const HIGH = 2 ** 40;

test('finds what a list finds, through any maps and unmaps', () => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 200 }), (operations) => {
      const table = new DmaTable(64);
      const model = new Model();
      const draining: number[] = [];
      for (const step of operations) {
        if (step.kind === 'map') {
          const iova = step.page * PAGE + (step.high ? HIGH : 0);
          const sizeBytes = step.pages * PAGE;
          expect(table.overlaps(iova, sizeBytes)).toBe(model.overlaps(iova, sizeBytes));
          if (model.overlaps(iova, sizeBytes)) continue;
          const row = table.insert(iova, sizeBytes, NO_FILE, 0, 3);
          expect(row < 0).toBe(model.regions.length === 64);
          if (row >= 0) model.regions.push({ iova, sizeBytes, row });
        } else if (step.kind === 'unmap') {
          if (model.regions.length === 0) continue;
          const [region] = model.regions.splice(step.which % model.regions.length, 1);
          table.remove(region!.row);
          expect(table.has(region!.row)).toBe(false);
          if (step.pinned) draining.push(region!.row);
          else table.free(region!.row);
        } else {
          const iova = step.page * PAGE + step.byte + (step.high ? HIGH : 0);
          expect(table.find(iova)).toBe(model.find(iova)?.row ?? -1);
        }
        expect(table.count).toBe(model.regions.length);
        expect(table.draining).toBe(draining.length);
      }
      const sorted = [...model.regions].sort((a, b) => a.iova - b.iova);
      for (const [at, region] of sorted.entries()) expect(table.rowAt(at)).toBe(region.row);
    }),
  );
});

test('holds as many regions as are offered to a client, in any order of maps', () => {
  const table = new DmaTable(65_535);
  // 40,503 and 65,536 have no common divisor: every page once, far from in order.
  const iovaOf = (i: number) => (((i * 40_503) % 65_536) * 2 + 1) * PAGE;
  for (let i = 0; i < 65_535; i++) expect(table.insert(iovaOf(i), PAGE, NO_FILE, i, 3)).toBeGreaterThanOrEqual(0);
  expect(table.insert(0, PAGE, NO_FILE, 0, 3)).toBe(-1);
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 65_535; i++) {
      const row = table.find(iovaOf(i) + (i % PAGE));
      if (table.fileOffset(row) !== i) expect.fail(`region ${i} is not found`);
      if (table.find(iovaOf(i) - 1) !== -1) expect.fail(`something is found in front of region ${i}`);
    }
  }
  while (table.count > 0) {
    const row = table.rowAt(Math.floor(table.count / 2));
    table.remove(row);
    table.free(row);
  }
  expect(table.find(iovaOf(1))).toBe(-1);
});

test('addresses beyond 32 bits that share their low bits are different regions', () => {
  const table = new DmaTable(100);
  for (let i = 0; i < 40; i++) table.insert(i * 2 ** 44, PAGE, NO_FILE, i, 3);
  for (let i = 0; i < 40; i++) expect(table.fileOffset(table.find(i * 2 ** 44 + 5))).toBe(i);
});
