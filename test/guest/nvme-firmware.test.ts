/** Firmware with NVMe drivers of its own loads files from the device: issue 10, "Must show", item 3. */
import { readFileSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import {
  dataBytes,
  dataDigest,
  dataFile,
  FirmwareMachine,
  type FirmwareName,
  greeting,
  provisionFirmware,
  writeFirmwareDisk,
} from '@sidecard/guest';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { missing } from '../missing.ts';
import { NvmeDisk } from './nvme-disk.ts';
import { noGuests } from './requirements.ts';

const noFirmware = noGuests ?? (await missing(provisionFirmware));

describe.skipIf(noFirmware).each([
  { memory: 'shared memory', sharedMemory: true },
  { memory: 'memory by messages', sharedMemory: false },
])('firmware boots from the NVMe disk, $memory', ({ sharedMemory }) => {
  let nvme: NvmeDisk;
  let machine: FirmwareMachine;

  async function start(firmware: FirmwareName): Promise<void> {
    // U-Boot for q35 takes slot 1 for something of its own, and finds no device there.
    const devices = [{ socket: nvme.socket, addr: '5.0' }];
    machine = await FirmwareMachine.start({ firmware, sharedMemory, devices });
  }

  beforeEach(async ({ onTestFailed }) => {
    nvme = await NvmeDisk.start({ prepare: writeFirmwareDisk });
    onTestFailed(() => nvme.showLog());
  });
  afterEach(async () => {
    await machine?.stop();
    await nvme?.stop();
  });

  test('OVMF starts GRUB from it, which prints a file and the digest of another', async () => {
    await start('ovmf');
    const printed = await machine.until('sidecard: GRUB is done');
    expect(printed).toMatch(/starting Boot\d+ "UEFI Sidecard NVMe Controller/);
    expect(printed).toContain('sidecard: GRUB runs from the disk');
    expect(printed).toContain(greeting);
    expect(printed).toContain(dataDigest());
  });

  test('U-Boot prints a file, has the checksum of another, and writes what it read elsewhere', async () => {
    await start('u-boot');
    await machine.until('Hit any key to stop autoboot');
    machine.type('');
    await machine.until('\n=> ');
    const command = (line: string): Promise<string> => {
      machine.type(line);
      return machine.until('\n=> ');
    };
    await command('nvme scan');
    expect(await command('nvme info')).toContain('Capacity: 64.0 MB = 0.0 GB (131072 x 512)');
    expect(await command('load nvme 0:1 2000000 greeting.txt')).toContain(`${greeting.length + 1} bytes read`);
    expect(textOf(await command(`md.b 2000000 ${greeting.length.toString(16)}`))).toBe(greeting);
    expect(await command('load nvme 0:1 2000000 data.bin')).toContain(`${dataBytes} bytes read`);
    const checksum = crc32(dataFile()).toString(16).padStart(8, '0');
    expect(await command('crc32 2000000 $filesize')).toContain(`==> ${checksum}`);

    // Its last MiB has nothing yet.
    const [target, blocks] = [63 * 2048, 2048];
    const written = await command(`nvme write 2000000 ${target.toString(16)} ${blocks.toString(16)}`);
    expect(written).toContain(`${blocks} blocks written: OK`);
    const image = readFileSync(nvme.image);
    expect(image.subarray(target * 512).equals(dataFile().subarray(0, blocks * 512))).toBe(true);
  });
});

/** The right side of U-Boot's dump of memory. */
function textOf(dump: string): string {
  const lines = dump.split('\n').filter((line) => /^0[0-9a-f]+: /.test(line));
  return lines.map((line) => line.trimEnd().slice(59)).join('');
}
