import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { AdminOpcode, type NvmeDriver, until } from '@sidecard/testing';
import { expect, onTestFinished } from 'vitest';
import { TestDrive } from './test-drive.ts';

/** Dword 10 of Format NVM: the LBA format. */
export const to4096 = 1;
export const to512 = 0;

/** Of nothing but one byte: the first, and each as the one before it. Large drives are looked at in a moment so. */
const isAll = ({ bytes }: TestDrive, value: number) =>
  bytes[0] === value && Buffer.compare(bytes.subarray(1), bytes.subarray(0, -1)) === 0;

export const full = (drive: TestDrive) => isAll(drive, 7);
export const empty = (drive: TestDrive) => isAll(drive, 0);

/** A drive with an image in a folder of its own, beside which its notes are. */
export function imagedDrive(sizeBytes = 1 << 20): TestDrive & { image: string } {
  const image = join(mkdtempSync(join(tmpdir(), 'nvme-format-')), 'disk.img');
  onTestFinished(() => rmSync(dirname(image), { recursive: true, force: true }));
  return Object.assign(new TestDrive(sizeBytes), { image });
}

export const notes = ({ image }: { image: string }) => JSON.parse(readFileSync(`${image}.nvme.json`, 'utf8'));

/** Fills namespace 1 and begins its format, which comes as far as the drive, and stays there: the command's cid. */
export async function beginFormat({ driver, drive }: { driver: NvmeDriver; drive: TestDrive }): Promise<number> {
  drive.bytes.fill(7);
  drive.stalled = true;
  const cid = driver.admin.submit({ opcode: AdminOpcode.formatNvm, nsid: 1, cdw10: to4096 });
  await until(driver.function.port, () => drive.seen.length > 0, 'the drive to be asked');
  expect(await remaining(driver)).toBe(100);
  return cid;
}

/** FPI: how much is left, percent. */
export async function remaining(driver: NvmeDriver, nsid = 1): Promise<number> {
  const progress = (await driver.identifyNamespace(nsid)).raw[32]!;
  expect(progress & (1 << 7)).not.toBe(0);
  return progress & 0x7f;
}
