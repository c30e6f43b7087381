import type { Browser } from 'playwright-core';
import { expect } from 'vitest';
import { launchBrowser } from './browser.ts';
import { PanelDaemon, PanelPage } from './gpio-panel.ts';

/** A browser for a file of tests, and for each of them a daemon whose panel it has open. */
export class PanelRig {
  browser!: Browser;
  daemon!: PanelDaemon;
  panel!: PanelPage;
  /** Daemons that have ended, whose folder another has. */
  readonly left: PanelDaemon[] = [];

  async launch(): Promise<void> {
    this.browser = await launchBrowser();
  }

  async quit(): Promise<void> {
    await this.browser?.close();
  }

  async open(): Promise<void> {
    this.daemon = await PanelDaemon.start();
    this.panel = await (await PanelPage.open(this.browser, this.daemon.url)).live();
  }

  /** Neither the page nor the daemon has anything to complain of. */
  async close(): Promise<void> {
    expect(this.panel.complaints).toEqual([]);
    await this.panel.close();
    await this.daemon.stop();
    expect(this.daemon.process.log).not.toMatch(/"level":[56]0/);
    for (const { process } of [this.daemon, ...this.left.splice(0)]) await process.remove();
  }
}
