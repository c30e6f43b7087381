import { accessSync, constants, readFileSync } from 'node:fs';
import { remembered } from './cache.ts';
import { digest } from './digest.ts';
import { Guest } from './guest.ts';
import type { Accelerator } from './machine.ts';

/**
 * KVM where a guest really boots with it: in nested virtual machines the device is often there and does not work.
 * Tried once per boot of this machine; SIDECARD_ACCEL=kvm or tcg decides without trying.
 */
export async function chooseAccelerator(): Promise<Accelerator> {
  const wanted = process.env.SIDECARD_ACCEL;
  if (wanted === 'kvm' || wanted === 'tcg') return wanted;
  if (wanted) throw new Error(`SIDECARD_ACCEL is kvm or tcg, not ${wanted}`);
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
  } catch {
    return 'tcg';
  }
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8');
  return (await remembered(`accelerator-${digest(boot)}`, tryKvm)) as Accelerator;
}

async function tryKvm(): Promise<Accelerator> {
  try {
    const guest = await Guest.boot({ accelerator: 'kvm', readyTimeoutMs: 10_000, memoryMiB: 512 });
    await guest.stop();
    return 'kvm';
  } catch {
    return 'tcg';
  }
}
