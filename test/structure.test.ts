import { expect, test } from 'vitest';

test('placeholder until the packages exist', () => {
  expect(true).toBe(true);
});
