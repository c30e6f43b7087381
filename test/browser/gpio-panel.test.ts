/** The GPIO card's panel as a person has it: a real browser, a daemon, and a guest's driver at its other end. */
import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { noBrowser } from './browser.ts';
import { contrast } from './contrast.ts';
import { highRuns, pixelsPerSecond } from './diagram.ts';
import { Changes, PanelDaemon, PanelPage, viewport } from './gpio-panel.ts';
import { PanelRig } from './panel-rig.ts';

/** On a machine that others use too. */
const patience = { timeout: 15_000 };

describe.skipIf(noBrowser)('the panel', () => {
  const rig = new PanelRig();
  beforeAll(() => rig.launch());
  afterAll(() => rig.quit());
  beforeEach(() => rig.open());
  afterEach(() => rig.close());

  test('a click on a switch reaches the guest, and raises its interrupt', async () => {
    const driver = rig.daemon.guest();
    driver.enableInterrupts();
    for (const [name, inputs] of [
      ['IN3', 0x0008],
      ['IN15', 0x8008],
      ['IN3', 0x8000],
    ] as const) {
      const changed = driver.change(5000);
      await rig.panel.switch(name).click();
      expect(await changed).toBe(inputs);
    }
    await rig.panel.shows({ IN3: 0, IN15: 1, IN0: 0 });
    expect(driver.vector.take()).toBe(0);
  });

  test('the keyboard does it too, and a switch pressed twice is back', async () => {
    const driver = rig.daemon.guest();
    await rig.panel.switch('IN0').focus();
    await rig.panel.page.keyboard.press('Tab');
    await rig.panel.page.keyboard.press('Space');
    await rig.panel.shows({ IN0: 0, IN1: 1 });
    expect(driver.inputs).toBe(0x0002);
    const changes = await Changes.of(rig.daemon);
    for (const key of ['Enter', 'Space', 'Enter', 'Space']) await rig.panel.page.keyboard.press(key);
    expect((await changes.take(4)).map(({ changed }) => changed)).toEqual(
      [0, 1, 0, 1].map((level) => ({ IN1: level })),
    );
    await rig.panel.shows({ IN1: 1 });
  });

  test('an output that the guest sets lights its lamp', async () => {
    const driver = rig.daemon.guest();
    driver.outputs = 0x8021;
    await rig.panel.shows({ OUT0: 1, OUT5: 1, OUT15: 1, OUT1: 0 });
    driver.setOutput(5, 0);
    await rig.panel.shows({ OUT0: 1, OUT5: 0, OUT15: 1 });
    await rig.panel.page.getByText('0x8001').waitFor();
  });

  test('what others do by the control socket is shown, and two panels agree', async () => {
    const other = await (await PanelPage.open(rig.browser, rig.daemon.url)).live();
    await rig.daemon.control.patch('/inputs', { IN2: 1, IN9: 1 });
    for (const one of [rig.panel, other]) await one.shows({ IN2: 1, IN9: 1, IN0: 0 });
    await other.switch('IN2').click();
    for (const one of [rig.panel, other]) await one.shows({ IN2: 0, IN9: 1 });
    await rig.panel.switch('IN2').click();
    for (const one of [rig.panel, other]) await one.shows({ IN2: 1 });
    expect(other.complaints).toEqual([]);
    await other.close();
  });

  test('changes that it missed: it shows how things are then, and no levels for the time between', async () => {
    const page = await rig.browser.newPage({ viewport });
    const lines = (kind: string, levels: object) => ({ ...zeroes(kind), ...levels });
    const events = [
      ['state', { atMs: 1000, outputs: lines('OUT', { OUT0: 1 }), inputs: zeroes('IN'), loopback: false }],
      ['change', { atMs: 2000, changed: { OUT1: 1 } }],
      ['change', { atMs: 3000, changed: { OUT2: 1 } }],
      ['missed', { changes: 1234 }],
      ['state', { atMs: 7000, outputs: lines('OUT', { OUT1: 1, OUT9: 1 }), inputs: zeroes('IN'), loopback: false }],
      ['change', { atMs: 8000, changed: { OUT9: 0 } }],
    ] as const;
    const { promise: over, resolve: end } = Promise.withResolvers<void>();
    let asked = 0;
    await page.route('**/changes', async (route) => {
      const body = events.map(([event, data]) => `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`).join('');
      if (asked++ === 0) return route.fulfill({ contentType: 'text/event-stream', body });
      await over;
      await route.continue();
    });
    await page.goto(rig.daemon.url);
    await page.locator('#outputs-value', { hasText: '0x0002' }).waitFor();
    await page.getByText('The daemon is gone').waitFor();
    const perSecond = await pixelsPerSecond(page);
    const [before, after] = await highRuns(page, 1);
    // Four seconds of which nobody knows.
    expect(Math.abs((after!.left - before!.left) / perSecond - 5)).toBeLessThan(0.1);
    for (const { left, right } of [before!, after!]) expect(Math.abs((right - left) / perSecond - 1)).toBeLessThan(0.1);
    end();
    await page.locator('body[data-live=true]').waitFor();
    await page.locator('#outputs-value', { hasText: '0x0000' }).waitFor();
    await page.close();
  });

  test('the diagram shows each edge at its time', async () => {
    const driver = rig.daemon.guest();
    const changes = await Changes.of(rig.daemon);
    for (const [level, ms] of [
      [1, 400],
      [0, 300],
      [1, 200],
      [0, 0],
    ] as const) {
      driver.setOutput(5, level);
      await sleep(ms);
    }
    const [rise = 0, fall = 0, again = 0, end = 0] = (await changes.take(4)).map(({ atMs }) => atMs);
    await rig.panel.shows({ OUT5: 0 });
    // To the right of it, and not in the same pixel.
    await sleep(200);
    await rig.daemon.control.patch('/inputs', { IN4: 1 });
    await rig.panel.shows({ IN4: 1 });
    await sleep(200);
    await rig.panel.page.getByRole('button', { name: 'Hold' }).click();
    const perMs = (await pixelsPerSecond(rig.panel.page)) / 1000;
    const [first, second, ...others] = await highRuns(rig.panel.page, 5);
    expect(others).toEqual([]);
    // A stroke is a pixel and a half wide, and lies between pixels.
    expect(Math.abs(first!.right - first!.left - (fall - rise) * perMs)).toBeLessThan(5);
    expect(Math.abs(second!.left - first!.left - (again - rise) * perMs)).toBeLessThan(3);
    expect(Math.abs(second!.right - second!.left - (end - again) * perMs)).toBeLessThan(5);
    // An input that is 1 is so up to the right end, and the others are flat.
    const [high] = await highRuns(rig.panel.page, 20);
    expect(high!.left).toBeGreaterThan(second!.right);
    const { width } = (await rig.panel.page.locator('canvas').boundingBox())!;
    expect(width - high!.right).toBeLessThan(2);
    expect(await highRuns(rig.panel.page, 6)).toEqual([]);
    // It is held: nothing moves. And then goes on from where it is.
    await sleep(300);
    expect((await highRuns(rig.panel.page, 5))[0]).toEqual(first);
    await rig.panel.page.getByRole('button', { name: 'Hold' }).click();
    await expect
      .poll(async () => (await highRuns(rig.panel.page, 5))[0]!.left, patience)
      .toBeLessThan(first!.left - 20);
  });

  test('draws while an edge is on its way, and not when nothing moves', async () => {
    const page = await rig.browser.newPage();
    await page.clock.install();
    await page.addInitScript(`{
      globalThis.pictures = 0;
      const { clearRect } = CanvasRenderingContext2D.prototype;
      CanvasRenderingContext2D.prototype.clearRect = function (...all) {
        pictures++;
        clearRect.apply(this, all);
      };
    }`);
    await page.goto(rig.daemon.url);
    await page.locator('body[data-live=true]').waitFor();
    const pictures = () => page.evaluate('pictures') as Promise<number>;
    const began = await pictures();
    await expect.poll(pictures, patience).toBeGreaterThan(began + 10);
    await page.clock.fastForward(13_000);
    await expect
      .poll(async () => {
        const before = await pictures();
        await sleep(500);
        return (await pictures()) - before;
      }, patience)
      .toBe(0);
    const before = await pictures();
    await rig.daemon.control.patch('/inputs', { IN0: 1 });
    await expect.poll(pictures, patience).toBeGreaterThan(before + 10);
    await page.close();
  });

  test('a daemon that goes is told, and one that comes again is followed, as it is then', async () => {
    rig.daemon.guest().outputs = 0x0001;
    await rig.panel.switch('IN6').click();
    await rig.panel.shows({ OUT0: 1, IN6: 1 });
    const { port } = rig.daemon;
    const { folder } = rig.daemon.process;
    await rig.daemon.stop('kill');
    await rig.panel.status.filter({ hasText: 'The daemon is gone' }).waitFor();
    await rig.panel.switch('IN6').click({ force: true });
    await rig.panel.problem.filter({ hasText: 'Nobody is there' }).waitFor();
    await rig.panel.shows({ IN6: 1 });
    const next = await PanelDaemon.start({ port, folder });
    expect(next.url).toBe(rig.daemon.url);
    rig.left.push(rig.daemon);
    rig.daemon = next;
    await rig.daemon.control.patch('/inputs', { IN7: 1 });
    await rig.panel.live();
    await rig.panel.shows({ OUT0: 0, IN6: 0, IN7: 1 });
    expect(await rig.panel.problem.count()).toBe(0);
    await rig.panel.switch('IN6').click();
    await rig.panel.shows({ IN6: 1 });
  });

  test('it can be read by day and by night, on a telephone, and without motion', async () => {
    const { page } = rig.panel;
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      for (const name of ['text', 'faint', 'fine', 'trouble', 'output', 'input', 'ring']) {
        for (const behind of ['board', 'page']) {
          expect([colorScheme, name, behind, await contrast(page, name, behind)]).toEqual([
            colorScheme,
            name,
            behind,
            // WCAG 2.2, 1.4.3; of what is no text, 1.4.11.
            expect.toSatisfy((ratio: number) => ratio >= (name === 'ring' ? 3 : 4.5)),
          ]);
        }
      }
    }
    await page.setViewportSize({ width: 360, height: 740 });
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(360);
    await page.emulateMedia({ reducedMotion: 'reduce' });
    await rig.daemon.control.patch('/inputs', { IN0: 1 });
    await expect.poll(async () => (await highRuns(page, 16)).length, patience).toBe(1);
  });

  test('has its picture taken (SIDECARD_PICTURES=1 puts it into the README)', async () => {
    const driver = rig.daemon.guest();
    const wave = Array.from({ length: process.env.SIDECARD_PICTURES ? 60 : 5 }, (_, step) => step);
    for (const step of wave) {
      driver.outputs = 0x0100 | (step & 0xff) | (step % 8 < 4 ? 0x8000 : 0);
      await rig.daemon.control.patch('/inputs', {
        IN0: step & 1 ? 1 : 0,
        IN3: step > 30 ? 1 : 0,
        IN12: step % 10 < 3 ? 1 : 0,
      });
      await sleep(200);
    }
    const latest = await rig.panel.page.screenshot({ fullPage: true });
    expect(latest.length).toBeLessThan(150 * 1024);
    if (process.env.SIDECARD_PICTURES) writeFileSync(new URL('../../docs/gpio-panel.png', import.meta.url), latest);
  });

  test('with --loopback the switches are the guest’s, and say so', async () => {
    const looped = await PanelDaemon.start({ args: ['--loopback'] });
    const page = await (await PanelPage.open(rig.browser, looped.url)).live();
    looped.guest().outputs = 0x0404;
    await page.shows({ OUT2: 1, IN2: 1, IN10: 1, IN3: 0 });
    const three = page.switch('IN3');
    expect(await three.isDisabled()).toBe(true);
    await page.page.getByText('wired to the outputs (--loopback)').waitFor();
    await three.click({ force: true });
    await page.problem.filter({ hasText: 'wired to the outputs' }).waitFor();
    await page.shows({ IN3: 0 });
    expect(await looped.control.get('/inputs')).toMatchObject({ IN3: 0 });
    expect(page.complaints).toEqual([]);
    await page.close();
    await looped.stop();
    await looped.process.remove();
  });
});

function zeroes(kind: string): object {
  return Object.fromEntries(Array.from({ length: 16 }, (_, line) => [`${kind}${line}`, 0]));
}
