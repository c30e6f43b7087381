import { type Program, provisionBrowser } from '@sidecard/guest';
import { type Browser, chromium } from 'playwright-core';
import { missing } from '../missing.ts';

let program: Program;

/** Why there is no browser on this machine, or undefined. */
export const noBrowser: string | undefined = await missing(async () => {
  program = await provisionBrowser();
});

/** Root may not have a sandbox in a container; the pages are our own. */
export function launchBrowser(): Promise<Browser> {
  const env = { ...process.env, ...program.env } as { [name: string]: string };
  return chromium.launch({ executablePath: program.command[0]!, args: ['--no-sandbox'], env });
}
