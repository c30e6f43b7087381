import type { Guest } from '@sidecard/guest';

/** Waits in the guest until a shell condition holds. */
export async function until(guest: Guest, condition: string, seconds = 20): Promise<void> {
  await guest.check(`for i in $(seq ${seconds * 10}); do if ${condition}; then exit 0; fi; sleep 0.1; done; exit 1`, {
    timeoutMs: (seconds + 30) * 1000,
  });
}

/** Of the kernel's warnings those that could be about the device; the rest is what QEMU's machine has it say at boot. */
const concerning =
  /nvme|gpio|idio|irq \d+:|pcieport|blk|I\/O error|hung|timeout|timed out|WARNING:|BUG:|Oops|Call Trace|EXT4|XFS|BTRFS/;

/** Said when somebody asks for a reset (nvme reset), and not when the driver wants one. */
const asked = /nvme\d+: resetting controller$/;

/** The guest's kernel's warnings, and worse, that could be about the device, but for those that a test expects. */
export async function complaints(guest: Guest, expected: readonly RegExp[] = []): Promise<string[]> {
  const lines = (await guest.check('dmesg --level=emerg,alert,crit,err,warn')).split('\n');
  return lines.filter((line) => concerning.test(line) && ![asked, ...expected].some((known) => known.test(line)));
}
