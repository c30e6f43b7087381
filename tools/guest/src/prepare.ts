import { guestImage } from './image.ts';
import { provision } from './provision.ts';

/** Fetches and makes all that a guest needs, or throws ProvisionError; takes milliseconds the second time. */
export async function prepareGuests(): Promise<void> {
  await guestImage(await provision());
}
