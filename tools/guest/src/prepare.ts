import { otherReleases } from './archive.ts';
import { provisionBrowser } from './browser.ts';
import { provisionFirmware } from './firmware.ts';
import { guestImage } from './image.ts';
import { provision } from './provision.ts';

/** Fetches and makes all that a guest needs, or throws ProvisionError; takes milliseconds the second time. */
export async function prepareGuests(): Promise<void> {
  await guestImage(await provision());
}

/** Besides that, what only tests want: a browser, firmware, and kernels of other releases. */
export async function prepareTests(): Promise<void> {
  await prepareGuests();
  await provisionBrowser();
  await provisionFirmware();
  for (const release of otherReleases) await guestImage(await provision(release));
}
