/** Before the tests of the project `qemu`: their processes inherit what plug() of @sidecard/testing reads. */
import { ProvisionError, provision } from '@sidecard/guest';

export async function setup(): Promise<void> {
  try {
    process.env.SIDECARD_QEMU = JSON.stringify((await provision()).qemu);
  } catch (error) {
    if (!(error instanceof ProvisionError)) throw error;
    process.env.SIDECARD_NO_QEMU = error.message;
  }
}
