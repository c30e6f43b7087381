import { ProvisionError, provision } from '@sidecard/guest';

/** Why no guest can run on this machine, or undefined: guest tests are skipped by it, and never pass. */
export const noGuests: string | undefined = await provision().then(
  () => undefined,
  (error: unknown) => {
    if (!(error instanceof ProvisionError)) throw error;
    console.error(`guest tests are skipped: ${error.message}`);
    return error.message;
  },
);
