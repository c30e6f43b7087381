/** What an unchanged Linux does with the GPIO card: issue 11, "devices/gpio-idio16". */
import { resolve } from 'node:path';
import { Guest } from '@sidecard/guest';
import { Program } from '@sidecard/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { allInputs, GpioCard, type Levels, mapInputs } from './gpio-card.ts';
import { inOrder, makeEdges, periodMs } from './gpio-edges.ts';
import { GpioMonitor } from './gpio-monitor.ts';
import { complaints } from './linux.ts';
import { noGuests } from './requirements.ts';

const program = resolve(import.meta.dirname, '../../node_modules/.bin/sidecard-gpio-idio16');
const lines = Array.from({ length: 16 }, (_, line) => line);

describe.skipIf(noGuests)('GPIO cards in a Linux guest', () => {
  let card: GpioCard;
  let looped: GpioCard;
  let monitor: GpioMonitor;
  let guest: Guest;
  /** As Linux counts them, by their places. */
  const [chip, loopedChip] = ['gpiochip0', 'gpiochip1'];

  beforeAll(async () => {
    [card, looped] = await Promise.all([GpioCard.start(), GpioCard.start('--loopback')]);
    monitor = await GpioMonitor.listen();
    // Neighbours have interrupt lines of their own: this driver cannot share one.
    const devices = [card, looped].map(({ device: { socket } }, index) => ({ socket, addr: `${4 + index}` }));
    guest = await Guest.boot({ devices, args: monitor.args });
    for (const each of [chip, loopedChip]) await mapInputs(guest, each);
  });
  beforeEach(({ onTestFailed }) => onTestFailed(() => card.showLog()));
  afterAll(async () => {
    await guest?.stop();
    monitor?.close();
    await card?.stop();
    await looped?.stop();
  });

  test('the driver binds, with an interrupt line', async () => {
    const device = '/sys/bus/gpio/devices/gpiochip0/..';
    expect(await guest.check(`basename $(readlink ${device}/driver)`)).toBe('pci-idio-16');
    expect(await guest.check('grep -c fasteoi.*0000:00:0[45].0 /proc/interrupts')).toBe('2');
    expect(await card.control.get('/device')).toMatchObject({
      client: { connected: true },
      interrupts: { mode: 'intx', vectors: 1 },
    });
  });

  test('gpioinfo shows 32 lines, with their names and directions', async () => {
    const shown = (await guest.check(`gpioinfo -c ${chip}`)).split('\n');
    const [title, ...rest] = shown.map((line) => line.trim().split(/[\s:]+/));
    expect(title).toEqual(['gpiochip0', '-', '32', 'lines', '']);
    const row = (number: number, name: string, direction: string) => ['line', `${number}`, `"${name}"`, direction];
    expect(rest).toEqual([
      ...lines.map((line) => row(line, `OUT${line}`, 'output')),
      ...lines.map((line) => row(16 + line, `IIN${line}`, 'input')),
    ]);
  });

  test('gpioset of each output is seen by GET /outputs', async () => {
    for (const line of lines) {
      await guest.check(`gpioset -c ${chip} -t 0 OUT${line}=1`);
      expect(await card.outputs()).toBe(2 ** (line + 1) - 1);
    }
  });

  test('gpioset of each output is a change on the stream, of that output alone', async () => {
    const changes = await card.changes(16, () =>
      guest.check(`for line in ${lines.join(' ')}; do gpioset -c ${chip} -t 0 OUT$line=0; done`),
    );
    expect(changes).toEqual(lines.map((line) => ({ [`OUT${line}`]: 0 })));
    expect(await card.outputs()).toBe(0);
  });

  test('outputs that gpioset is given together change one after the other, as this driver writes them', async () => {
    const names = ['OUT0', 'OUT7', 'OUT8', 'OUT15'];
    for (const level of [1, 0]) {
      const settings = names.map((name) => `${name}=${level}`).join(' ');
      const changes = await card.changes(4, () => guest.check(`gpioset -c ${chip} -t 0 ${settings}`));
      expect(changes).toEqual(names.map((name) => ({ [name]: level })));
    }
  });

  test('an output is held by gpioset, and keeps its level when that is gone', async () => {
    await guest.check(`gpioset -c ${chip} --daemonize OUT5=1`);
    expect(await guest.check(`gpioinfo -c ${chip} OUT5`)).toContain('consumer="gpioset"');
    expect((await guest.run(`gpioset -c ${chip} -t 0 OUT5=0`)).status).not.toBe(0);
    await guest.check('killall gpioset; while pidof gpioset; do sleep 0.01; done');
    expect(await guest.check(`gpioinfo -c ${chip} OUT5`)).not.toContain('consumer');
    expect(await card.outputs()).toBe(0x0020);
    expect(await guest.check(`gpioget --as-is --numeric -c ${chip} OUT4 OUT5`)).toBe('0 1');
    await guest.check(`gpioset -c ${chip} -t 0 OUT5=0`);
  });

  test('gpioset toggles, as long as it is told', async () => {
    const changes = await card.changes(4, () => guest.check(`gpioset -c ${chip} -t 20ms,20ms,20ms,0 OUT11=1`));
    expect(changes).toEqual([{ OUT11: 1 }, { OUT11: 0 }, { OUT11: 1 }, { OUT11: 0 }]);
  });

  test('gpioget has each input as the world has set it', async () => {
    const get = `gpioget --numeric -c ${chip} ${allInputs.join(' ')}`;
    for (const line of lines) {
      await card.set({ ...levels(() => 0), [`IN${line}`]: 1 });
      expect(await guest.check(get)).toBe(lines.map((each) => (each === line ? 1 : 0)).join(' '));
    }
    await card.set(levels((line) => (line & 1) as 0 | 1));
    expect(await guest.check(get)).toBe(lines.map((line) => line & 1).join(' '));
    await card.set(levels(() => 0));
  });

  test('gpiomon sees each of 1,000 edges made on the host at 100/s, none lost, none doubled', async () => {
    const rates: number[] = [];
    let seen = 0;
    const before = await card.counter('sidecard_gpio_interrupts_total');
    for (const line of [0, 7, 8, 15]) {
      await monitor.start(guest, chip, [`IIN${line}`]);
      rates.push(await makeEdges(card, monitor, [line], 250));
      const events = await monitor.stop();
      expect(events.map(({ line, level }) => `${line}=${level}`)).toEqual(
        Array.from({ length: 250 }, (_, edge) => `IIN${line}=${(edge + 1) & 1}`),
      );
      expect(inOrder(events)).toBe(true);
      seen += events.length;
    }
    expect(seen).toBe(1000);
    expect((await card.counter('sidecard_gpio_interrupts_total')) - before).toBe(1000);
    console.log(`1,000 edges, ${rates.map((rate) => rate.toFixed(0)).join(', ')} in a second`);
  });

  test('with several lines watched, each edge is in its line and in no other', async () => {
    const watched = [0, 3, 8, 13];
    await monitor.start(
      guest,
      chip,
      watched.map((line) => `IIN${line}`),
    );
    await makeEdges(card, monitor, watched, 200);
    const events = await monitor.stop();
    expect(inOrder(events)).toBe(true);
    // All inputs have one bit in the status: Linux tells of all lines that are watched, whichever has changed.
    const now = new Map(watched.map((line) => [`IIN${line}`, 0]));
    const turned: string[] = [];
    for (const { line, level } of events) {
      if (now.get(line) !== level) turned.push(`${line}=${level}`);
      now.set(line, level);
    }
    expect(events.length).toBe(200 * watched.length);
    const made = (_: unknown, edge: number) => `IIN${watched[edge % 4]}=${(Math.floor(edge / 4) + 1) & 1}`;
    expect(turned).toEqual(Array.from({ length: 200 }, made));
  });

  test('a wave file makes edges: every interrupt of the card is one event, and the last has the last level', async () => {
    const before = await card.counter('sidecard_gpio_interrupts_total');
    await monitor.start(guest, chip, ['IIN9']);
    const steps = Array.from({ length: 201 }, (_, step) => `${step * periodMs},${(step + 1) & 1}`);
    const wave = `ms,IN9\n${steps.join('\n')}\n`;
    const played = await new Program([program, 'ctl', '--control', card.controlPath, 'wave', '-'], { input: wave })
      .ended;
    expect([played.code, played.stderr]).toEqual([0, expect.stringContaining('201 steps')]);
    // The wave does not wait for the guest: edges that come before it has served the last are one interrupt with it.
    const interrupts = (await card.counter('sidecard_gpio_interrupts_total')) - before;
    await monitor.seen(interrupts);
    const events = await monitor.stop();
    expect(events.length).toBe(interrupts);
    expect(events.length).toBeGreaterThan(10);
    expect(events.length).toBeLessThanOrEqual(201);
    expect([events.at(-1)!.level, inOrder(events)]).toEqual([1, true]);
    console.log(`a wave of 201 edges at 100/s: ${events.length} interrupts`);
    await card.set({ IN9: 0 });
  });

  test('--loopback: what gpioset puts out, gpiomon sees at the input of its number', async () => {
    for (const line of [2, 12]) {
      await monitor.start(guest, loopedChip, [`IIN${line}`]);
      for (let edge = 1; edge <= 6; edge++) {
        await guest.check(`gpioset -c ${loopedChip} -t 0 OUT${line}=${edge & 1}`);
        await monitor.seen(edge);
      }
      const events = await monitor.stop();
      expect(events.map(({ level }) => level)).toEqual([1, 0, 1, 0, 1, 0]);
    }
    expect(await looped.inputs()).toBe(0);
  });

  test('the guest has no complaint', async () => {
    // The second card's lines have the names of the first one's.
    expect(await complaints(guest, [/gpiochip1: Detected name collision/])).toEqual([]);
  });
});

function levels(of: (line: number) => 0 | 1): Levels {
  return Object.fromEntries(lines.map((line) => [`IN${line}`, of(line)]));
}
