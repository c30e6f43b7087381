/** Who may use the GPIO card's panel, and for how long. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { noBrowser } from './browser.ts';
import { PanelPage } from './gpio-panel.ts';
import { PanelRig } from './panel-rig.ts';

describe.skipIf(noBrowser)('the panel', () => {
  const rig = new PanelRig();
  beforeAll(() => rig.launch());
  afterAll(() => rig.quit());
  beforeEach(() => rig.open());
  afterEach(() => rig.close());

  test('without the token it says where that is, and goes on when it has it', async () => {
    const bare = rig.daemon.url.replace(/#.*/, '');
    const page = await PanelPage.open(rig.browser, bare);
    await page.status.filter({ hasText: "the token is missing: it is in the address that the daemon's log" }).waitFor();
    await page.page.goto(rig.daemon.url);
    await page.live();
    await page.close();
  });

  test('a page that nobody sees lets go of its connection, and is as things are when it is seen again', async () => {
    const page = await rig.browser.newPage();
    await page.clock.install();
    await page.goto(rig.daemon.url);
    const live = page.locator('body[data-live=true]');
    await live.waitFor();
    const turn = (hidden: boolean) =>
      page.evaluate(`Object.defineProperty(document, 'hidden', { value: ${hidden}, configurable: true });
        document.dispatchEvent(new Event('visibilitychange'))`);
    await turn(true);
    await page.clock.fastForward(5000);
    await turn(false);
    expect(await live.count()).toBe(1);
    await turn(true);
    await page.clock.fastForward(16_000);
    await page.getByText('Asleep').waitFor();
    await rig.daemon.control.patch('/inputs', { IN11: 1 });
    await turn(false);
    await live.waitFor();
    await page.locator('[data-level="1"]', { hasText: 'IN11' }).waitFor();
    await page.close();
  });

  test('no other page that the person visits can use it, not even one that knows the token', async () => {
    const { url } = rig.daemon;
    const token = new URL(url).hash.slice('#token='.length);
    const html = `<!doctype html><title>Elsewhere</title><iframe src="${url}"></iframe><script src="${new URL('/panel.js', url)}"></script>
      <form action="${new URL('/inputs', url)}" method="post" enctype="text/plain" target="_blank"><input name='{"IN0":1,"x' value='":1}'></form>`;
    const server = createServer((_, response) => response.setHeader('content-type', 'text/html').end(html)).listen(0);
    const { port } = server.address() as AddressInfo;
    const page = await rig.browser.newPage();
    await page.goto(`http://localhost:${port}/`);
    const tries = (await page.evaluate(`(async () => {
      const target = ${JSON.stringify(new URL('/inputs', url).href)};
      const body = '{"IN0":1}';
      const headers = { authorization: 'Bearer ${token}', 'content-type': 'application/json' };
      const outcome = (asked) => asked.then(({ type, status }) => type + status, () => 'failed');
      document.forms[0].submit();
      return [
        await outcome(fetch(target, { method: 'PATCH', headers, body })),
        await outcome(fetch(target, { method: 'POST', body, mode: 'no-cors', credentials: 'include' })),
        await outcome(fetch(target.replace('/inputs', '/changes'), { headers })),
        navigator.sendBeacon(target, body),
      ];
    })()`)) as unknown[];
    expect(tries.slice(0, 3)).toEqual(['failed', expect.stringMatching(/^failed|opaque0$/), 'failed']);
    // The frame has an error page of the rig.browser, or nothing.
    expect(await page.frames()[1]!.locator('[role=switch]').count()).toBe(0);
    expect(Object.values((await rig.daemon.control.get('/inputs')) as object)).toEqual(Array(16).fill(0));
    await page.close();
    server.close();
  });
});
