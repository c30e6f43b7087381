import { afterAll, beforeAll, expect, test } from 'vitest';
import { GpioDaemon } from './daemon.ts';

let daemon: GpioDaemon;
beforeAll(async () => {
  daemon = await GpioDaemon.start();
});
afterAll(async () => {
  await daemon.stop();
  await daemon.remove();
});

/** The samples of /metrics; every line of it is a comment or a sample. */
async function samples(): Promise<Map<string, number>> {
  const lines = ((await daemon.control.get('/metrics')) as string).trim().split('\n');
  const found = lines
    .filter((line) => !line.startsWith('#'))
    .map((line) => /^([a-z_]+(?:\{[^}]*\})?) (\S+)$/.exec(line)!);
  return new Map(found.map(([, name, value]) => [name!, Number(value)]));
}

test('what the lines do is counted', async () => {
  const driver = daemon.guest();
  const before = await samples();
  driver.enableInterrupts();
  driver.outputs = 0x0003;
  await daemon.control.patch('/inputs', { IN0: 1, IN1: 1, IN2: 1 });
  await driver.change();
  await daemon.control.patch('/inputs', { IN0: 0, IN1: 0, IN2: 0 });
  await driver.change();
  const after = await samples();
  const rise = (name: string) => after.get(name)! - before.get(name)!;
  expect(rise('sidecard_gpio_output_changes_total')).toBe(2);
  expect(rise('sidecard_gpio_input_changes_total')).toBe(6);
  expect(rise('sidecard_gpio_interrupts_total')).toBe(2);
  expect(rise('sidecard_messages_total')).toBeGreaterThan(5);
});

test('clients are counted', async () => {
  daemon.guest();
  const { client } = (await daemon.control.get('/device')) as { client: { connected: boolean } };
  const found = await samples();
  expect([client, found.get('sidecard_client_connected')]).toEqual([{ connected: true, busMaster: false }, 1]);
  expect(found.get('sidecard_clients_total')).toBeGreaterThan(1);
  expect(found.get('sidecard_clients_refused_total')).toBe(0);
});

test('the process is measured', async () => {
  const found = await samples();
  expect(found.get('process_resident_memory_bytes')).toBeGreaterThan(30e6);
  expect(found.get('process_cpu_seconds_total')).toBeGreaterThan(0.01);
  expect(Math.abs(found.get('process_start_time_seconds')! - Date.now() / 1000)).toBeLessThan(600);
  expect(found.get('sidecard_info{device="sidecard-gpio-idio16",version="0.1.0"}')).toBe(1);
});
