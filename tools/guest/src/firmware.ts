import { join } from 'node:path';
import { hostArchitecture, type Program, scriptsOnly, tree, unpackedProgram } from './provision.ts';

/** Firmware with NVMe drivers of its own, and what makes a disk for it. */
export interface Firmware {
  /** UEFI for q35: its code, and a fresh store of variables, which a machine needs a copy of. */
  ovmf: { code: string; variables: string };
  /** U-Boot in the place of the BIOS. */
  uBoot: string;
  /** GRUB's modules for UEFI, beside the one for BIOS in the guest's tree. */
  grubModules: string;
  /** Writes files into FAT images: called by the names of its commands. */
  mtools: Program;
}

export type FirmwareName = 'ovmf' | 'u-boot';

const firmwarePackages = ['ovmf', 'u-boot-qemu', 'grub-efi-amd64-bin'];

/** From the cache, filled from Debian's archive the first time: only tests want it, so no other guest waits for it. */
export async function provisionFirmware(): Promise<Firmware> {
  const files = await tree(firmwarePackages, { architecture: 'amd64', release: 'trixie', without: scriptsOnly });
  const tools = await tree(['mtools'], { architecture: hostArchitecture, release: 'trixie', without: [] });
  const ovmf = join(files, 'usr/share/OVMF');
  return {
    ovmf: { code: join(ovmf, 'OVMF_CODE_4M.fd'), variables: join(ovmf, 'OVMF_VARS_4M.fd') },
    uBoot: join(files, 'usr/lib/u-boot/qemu-x86_64/u-boot.rom'),
    grubModules: join(files, 'usr/lib/grub/x86_64-efi'),
    mtools: unpackedProgram(tools, 'mtools'),
  };
}
