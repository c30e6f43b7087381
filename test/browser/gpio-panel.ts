import { join } from 'node:path';
import { type ControlClient, openControl } from '@sidecard/daemon';
import { startDevice } from '@sidecard/guest';
import { loadNative } from '@sidecard/native';
import {
  type DaemonProcess,
  GuestRam,
  Idio16Driver,
  PciBus,
  qemuOffer,
  VfioUserClient,
  VfioUserPort,
} from '@sidecard/testing';
import type { Browser, BrowserContextOptions, Locator, Page } from 'playwright-core';

/** A card with a panel, as a daemon. */
export class PanelDaemon {
  readonly process: DaemonProcess;
  readonly control: ControlClient;
  /** What its log tells a person to open. */
  readonly url: string;
  #guest: VfioUserPort | null = null;

  private constructor(process: DaemonProcess, control: ControlClient, url: string) {
    this.process = process;
    this.control = control;
    this.url = url;
  }

  /** At any port unless told; in the folder of another, it is that one's successor. */
  static async start({ port = '0', args = [] as readonly string[], folder = undefined as string | undefined } = {}) {
    const all = ['--control', '{folder}/control.sock', '--panel', port, ...args];
    const process = await startDevice('sidecard-gpio-idio16', all, folder);
    await process.logged(/"panel":"/);
    const [, url = ''] = /"panel":"([^"]+)"/.exec(process.log) ?? [];
    return new PanelDaemon(process, await openControl(join(process.folder, 'control.sock')), url);
  }

  get port(): string {
    return new URL(this.url).port;
  }

  /** A guest whose driver has probed the card. */
  guest(): Idio16Driver {
    this.#guest?.close();
    const client = new VfioUserClient(this.process.connect());
    client.version(qemuOffer);
    this.#guest = new VfioUserPort(loadNative(), client, GuestRam.private());
    const driver = new Idio16Driver(new PciBus().add(this.#guest));
    driver.probe();
    return driver;
  }

  /** Everybody hangs up, and it ends. */
  async stop(how: 'stop' | 'kill' = 'stop'): Promise<void> {
    this.control.close();
    this.#guest?.close();
    this.#guest = null;
    await this.process[how]();
  }
}

/** Room for all of it. */
export const viewport = { width: 1000, height: 1020 };

/** The card's panel in a browser. */
export class PanelPage {
  readonly page: Page;
  /** What the page did wrong: errors, and requests to elsewhere. */
  readonly complaints: string[] = [];

  private constructor(page: Page, origin: string) {
    this.page = page;
    page.on('pageerror', ({ message }) => this.complaints.push(message));
    page.on('console', (message) => {
      // The browser's own lines for requests that a daemon that is gone does not answer, and for tests that look at pixels.
      if (!/^Failed to load resource|^Canvas2D: Multiple readback/.test(message.text()))
        this.complaints.push(message.text());
    });
    page.on('request', (request) => {
      if (!request.url().startsWith(`${origin}/`)) this.complaints.push(`asks ${request.url()}`);
    });
  }

  static async open(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<PanelPage> {
    const page = await browser.newPage({ viewport, ...options });
    const panel = new PanelPage(page, new URL(url).origin);
    await page.goto(url);
    return panel;
  }

  get status(): Locator {
    return this.page.getByRole('status');
  }

  get problem(): Locator {
    return this.page.getByRole('alert');
  }

  switch(name: string): Locator {
    return this.page.getByRole('switch', { name, exact: true });
  }

  /** Resolves when the page follows the daemon. */
  async live(): Promise<this> {
    await this.page.locator('body[data-live=true]').waitFor();
    return this;
  }

  /** Resolves when it has these levels. */
  async shows(levels: { readonly [line: string]: 0 | 1 }): Promise<void> {
    for (const [name, level] of Object.entries(levels)) {
      const shown = name.startsWith('OUT')
        ? this.page.locator(`#${name}[data-level="${level}"]`, { hasText: new RegExp(`^${name}${level}$`) })
        : this.switch(name).and(this.page.locator(`[data-level="${level}"][aria-checked=${level === 1}]`));
      await shown.waitFor();
    }
  }

  async close(): Promise<void> {
    await this.page.close();
  }
}

/** Changes from now on, as the control socket has them. */
export class Changes {
  readonly #events: ReturnType<ControlClient['events']>;

  private constructor(events: ReturnType<ControlClient['events']>) {
    this.#events = events;
  }

  static async of({ control }: PanelDaemon): Promise<Changes> {
    const events = control.events('/changes');
    // How things are.
    await events.next();
    return new Changes(events);
  }

  /** The next ones, and no more. */
  async take(count: number): Promise<{ readonly atMs: number; readonly changed: object }[]> {
    const taken = [];
    while (taken.length < count)
      taken.push((await this.#events.next()).value!.data as { atMs: number; changed: object });
    await this.#events.return();
    return taken;
  }
}
