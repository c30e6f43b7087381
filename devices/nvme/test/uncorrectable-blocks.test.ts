import { StateArena } from '@sidecard/core';
import { generator } from '@sidecard/testing';
import { describe, expect, test } from 'vitest';
import { UncorrectableBlocks, uncorrectableColumns } from '../src/io/uncorrectable-blocks.ts';
import { DriveNotes, wrongNote } from '../src/namespaces/drive-notes.ts';

describe('ranges of uncorrectable blocks', () => {
  const table = (rows: number) => StateArena.alloc().table('marks', uncorrectableColumns, rows);

  test('are as a list of blocks has them, whatever is marked and unmarked', () => {
    const random = generator(3);
    const [blocks, other] = [
      new UncorrectableBlocks(1, table(64), new DriveNotes({}, null)),
      new UncorrectableBlocks(2, table(64), new DriveNotes({}, null)),
    ];
    other.mark(0, 100);
    const model = new Array<boolean>(100).fill(false);
    for (let round = 0; round < 2000; round++) {
      const begin = Math.floor(random() * 100);
      const end = begin + 1 + Math.floor(random() * Math.min(12, 100 - begin));
      const marked = random() < 0.5;
      if (marked) expect(blocks.mark(begin, end)).toBe(true);
      else expect(blocks.unmark(begin, end)).not.toBe(null);
      model.fill(marked, begin, end);
      const [from, to] = [Math.floor(random() * 50), 50 + Math.floor(random() * 50)];
      const first = model.slice(from, to).indexOf(true);
      expect(blocks.find(from, to)).toBe(first < 0 ? -1 : from + first);
      const runs = model.filter((is, index) => is && model[index - 1] !== true).length;
      expect(blocks.count).toBe(runs);
    }
    expect(other.find(0, 100)).toBe(0);
  });

  test('of a full table are refused, and nothing is changed', () => {
    const blocks = new UncorrectableBlocks(1, table(2), new DriveNotes({}, null));
    blocks.mark(0, 10);
    blocks.mark(20, 30);
    expect(blocks.mark(40, 50)).toBe(false);
    expect(blocks.unmark(4, 6)).toBe(null);
    expect([blocks.find(4, 6), blocks.find(40, 50)]).toEqual([4, -1]);
    expect(blocks.mark(10, 20)).toBe(true);
    expect([blocks.count, blocks.find(0, 50)]).toEqual([1, 0]);
    expect(blocks.unmark(4, 6)).toEqual([[4, 6]]);
  });

  test('come back from beside the image, and those in the arena are newer', async () => {
    const notes = new DriveNotes({}, null);
    const rows = table(8);
    const blocks = new UncorrectableBlocks(1, rows, notes);
    blocks.mark(0, 10);
    await blocks.save();
    expect(new UncorrectableBlocks(1, table(8), notes).find(0, 100)).toBe(0);
    blocks.unmark(0, 5);
    expect(new UncorrectableBlocks(1, rows, notes).find(0, 100)).toBe(5);
    await blocks.clear();
    expect(notes.content.uncorrectable).toBe(undefined);
  });
});

test.each([{}, 'a', [[512, 512]], [[0, 'a']], [[-512, 0]], [[0, 0.5]], [[0, 1, 2]]])(
  'notes that cannot be: %j',
  (ranges) => {
    expect(wrongNote({ uncorrectable: ranges as never })).toBe('uncorrectable');
  },
);
