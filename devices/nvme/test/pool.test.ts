import { createNamespace } from '@sidecard/testing';
import { expect, test } from 'vitest';
import { started } from './machine.ts';
import { testPool } from './test-pool.ts';

test('namespaces outlive the daemon', async () => {
  const pool = testPool();
  const { driver } = await started('mapped', { drives: [], controller: { pool: pool.pool } });
  await createNamespace(driver, { nsze: 64, flbas: 1 });
  const { raw } = { raw: await driver.identify(0x11, 1) };
  const next = await started('mapped', { drives: [], controller: { pool: pool.again().pool } });
  expect(await next.driver.identify(0x11, 1)).toEqual(raw);
});
