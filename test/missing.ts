import { ProvisionError } from '@sidecard/guest';

/** Why something cannot be had on this machine, or undefined: tests that need it are skipped by it, and never pass. */
export function missing(provision: () => Promise<unknown>): Promise<string | undefined> {
  return provision().then(
    () => undefined,
    (error: unknown) => {
      if (!(error instanceof ProvisionError)) throw error;
      console.error(`tests are skipped: ${error.message}`);
      return error.message;
    },
  );
}
