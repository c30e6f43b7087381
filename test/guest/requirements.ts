import { ProvisionError, provision } from '@sidecard/guest';

/** Why something cannot be had on this machine, or undefined: tests that need it are skipped by it, and never pass. */
export function missing(provision: () => Promise<unknown>): Promise<string | undefined> {
  return provision().then(
    () => undefined,
    (error: unknown) => {
      if (!(error instanceof ProvisionError)) throw error;
      console.error(`guest tests are skipped: ${error.message}`);
      return error.message;
    },
  );
}

/** Why no guest can run on this machine, or undefined. */
export const noGuests: string | undefined = await missing(provision);
