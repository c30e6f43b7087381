/** The GPIO driver of an older and of a newer Linux, in short, and an interrupt line that is shared: issue 11, "devices/gpio-idio16". */
import { Guest, otherReleases, provision, startDevice } from '@sidecard/guest';
import type { DaemonProcess } from '@sidecard/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { missing } from '../missing.ts';
import { GpioCard, mapInputs } from './gpio-card.ts';
import { inOrder, makeEdges } from './gpio-edges.ts';
import { GpioMonitor } from './gpio-monitor.ts';
import { complaints } from './linux.ts';
import { noGuests } from './requirements.ts';

const kernels: Record<string, RegExp> = { bookworm: /^6\.1\./, 'trixie-backports': /^(?!6\.)\d+\./ };
const chip = 'gpiochip0';

for (const release of otherReleases) {
  const noKernel = noGuests ?? (await missing(() => provision(release)));
  /** Newer drivers want the line for themselves. Two cards do not do: of those that share 6.1's driver, the first alone has interrupts. */
  const shares = release === 'bookworm';

  describe.skipIf(noKernel)(`a GPIO card in Linux of ${release}`, () => {
    let card: GpioCard;
    let disk: DaemonProcess;
    let monitor: GpioMonitor;
    let guest: Guest;

    beforeAll(async () => {
      card = await GpioCard.start();
      disk = await startDevice('sidecard-nvme', ['--drive', 'mem:64M']);
      monitor = await GpioMonitor.listen();
      // On q35 slots 4 and 8 have the same interrupt line, and without MSI the disk uses it.
      const devices = [
        { socket: card.device.socket, addr: '4' },
        { socket: disk.socket, addr: shares ? '8' : '5' },
      ];
      const kernelArguments = shares ? 'pci=nomsi' : '';
      guest = await Guest.boot({
        kernel: release,
        kernelArguments,
        devices,
        args: monitor.args,
      });
      await mapInputs(guest, chip);
    });
    beforeEach(({ onTestFailed }) => onTestFailed(() => card.showLog()));
    afterAll(async () => {
      await guest?.stop();
      monitor?.close();
      await card?.stop();
      await disk?.stop();
      await disk?.remove();
    });

    test('its driver binds, with 32 lines', async () => {
      expect(await guest.check('uname -r')).toMatch(kernels[release]!);
      expect(await guest.check('gpiodetect')).toBe('gpiochip0 [0000:00:04.0] (32 lines)');
    });

    test('gpioset and gpioget agree with the control socket', async () => {
      await guest.check(`gpioset -c ${chip} -t 0 OUT3=1 OUT12=1 && gpioset -c ${chip} -t 0 OUT3=0`);
      expect(await card.outputs()).toBe(0x1000);
      await card.set({ IN0: 1, IN9: 1 });
      expect(await guest.check(`gpioget --numeric -c ${chip} IIN0 IIN1 IIN9 IIN15`)).toBe('1 0 1 0');
      await card.set({ IN0: 0, IN9: 0 });
    });

    test('gpiomon sees each of 100 edges, once', () => expectEdges(100));

    async function expectEdges(count: number): Promise<void> {
      const before = await card.counter('sidecard_gpio_interrupts_total');
      await monitor.start(guest, chip, ['IIN2']);
      await makeEdges(card, monitor, [2], count);
      const events = await monitor.stop();
      expect(events.map(({ level }) => level)).toEqual(Array.from({ length: count }, (_, edge) => (edge + 1) & 1));
      expect(inOrder(events)).toBe(true);
      expect((await card.counter('sidecard_gpio_interrupts_total')) - before).toBe(count);
    }

    if (shares) test('an interrupt line that a busy disk has too: no edge is lost, and no read', besideABusyDisk);

    async function besideABusyDisk(): Promise<void> {
      expect(await guest.check('grep 0000:00:04.0 /proc/interrupts')).toContain('nvme0q1');
      const reading = guest.check(`rounds=0; while [ ! -e /run/enough ]; do
        dd if=/dev/nvme0n1 of=/dev/null bs=4k count=100 iflag=direct status=none || exit 1; rounds=$((rounds + 1))
      done; echo $rounds`);
      await expectEdges(100);
      await guest.check('touch /run/enough');
      expect(Number(await reading)).toBeGreaterThan(0);
    }

    test('the guest has no complaint', async () => {
      // Of the driver's own ways, with whatever card.
      expect(await complaints(guest, [/not an immutable chip/, /zero-initialized flat cache/])).toEqual([]);
    });
  });
}
