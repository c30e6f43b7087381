/** GPIO cards whose driver, guest or daemon comes and goes: issue 11, "devices/gpio-idio16". */
import { Guest } from '@sidecard/guest';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { GpioCard, mapInputs } from './gpio-card.ts';
import { inOrder, keepTurning, makeEdges } from './gpio-edges.ts';
import { GpioMonitor } from './gpio-monitor.ts';
import { complaints, until } from './linux.ts';
import { noGuests } from './requirements.ts';

const driver = '/sys/bus/pci/drivers/pci-idio-16';
const address = '0000:00:04.0';

describe.skipIf(noGuests)('GPIO cards outlive what drives them', () => {
  let card: GpioCard;
  let other: GpioCard;
  let monitor: GpioMonitor;
  let guest: Guest;

  beforeAll(async () => {
    [card, other] = await Promise.all([GpioCard.start(), GpioCard.start()]);
    monitor = await GpioMonitor.listen();
    const devices = [card, other].map(({ device: { socket } }, index) => ({ socket, addr: `${4 + index}` }));
    const rootPort = JSON.stringify({ driver: 'pcie-root-port', id: 'spare', chassis: 1, addr: '1c.0' });
    guest = await Guest.boot({ devices, args: [...monitor.args, '-device', rootPort] });
  });
  beforeEach(({ onTestFailed }) => onTestFailed(() => card.showLog()));
  afterAll(async () => {
    await guest?.stop();
    monitor?.close();
    await card?.stop();
    await other?.stop();
  });

  /** The card at this address, and nothing of it from before. */
  async function chipOf(pci = address): Promise<string> {
    await until(guest, `ls /sys/bus/pci/devices/${pci} | grep -q ^gpiochip`);
    return guest.check(`ls /sys/bus/pci/devices/${pci} | grep ^gpiochip`);
  }

  /** Edges after all that was: each is told, once, as it was. */
  async function expectEdges(of = card, pci = address): Promise<void> {
    const chip = await chipOf(pci);
    await mapInputs(guest, chip);
    await monitor.start(guest, chip, ['IIN6']);
    await makeEdges(of, monitor, [6], 50);
    const events = await monitor.stop();
    expect(events.map(({ level }) => level)).toEqual(Array.from({ length: 50 }, (_, edge) => (edge + 1) & 1));
    expect(inOrder(events)).toBe(true);
  }

  test('a driver that goes while inputs change, and comes back while they change, loses no interrupt after', async () => {
    for (let round = 0; round < 3; round++) {
      const chip = await chipOf();
      await guest.check(`gpioset -c ${chip} -t 0 OUT${round}=1`);
      await mapInputs(guest, chip);
      await monitor.start(guest, chip, ['IIN0', 'IIN15']);
      const edges = keepTurning(card, [0, 15]);
      await monitor.seen(20);
      await monitor.stop();
      await guest.check(`echo ${address} >${driver}/unbind && echo ${address} >${driver}/bind`);
      await chipOf();
      await edges.stop();
      // Nobody has reset the card.
      expect((await card.outputs()) & (1 << round)).not.toBe(0);
      await expectEdges();
    }
  });

  test('a driver that goes while gpiomon has its interrupts, which change', async () => {
    const chip = await chipOf();
    await mapInputs(guest, chip);
    await monitor.start(guest, chip, ['IIN0', 'IIN15']);
    const edges = keepTurning(card, [0, 15]);
    await monitor.seen(20);
    await guest.check(`echo ${address} >${driver}/unbind`);
    await monitor.gone();
    await guest.check(`echo ${address} >${driver}/bind`);
    await chipOf();
    await edges.stop();
    await expectEdges();
    // Linux takes the interrupts away before it takes the lines from who watches them, with any device, and may warn of that.
    const said = (await complaints(guest, expected)).join('\n');
    for (const warning of said.match(/WARNING:.*/g) ?? []) expect(warning).toContain('remove_proc_entry');
    expect(said).not.toMatch(/BUG:|Oops/);
    await guest.check('dmesg --clear');
  });

  test('rmmod and modprobe', async () => {
    const edges = keepTurning(card, [0, 15]);
    for (let round = 0; round < 3; round++) {
      await guest.check('rmmod gpio-pci-idio-16 && [ -z "$(gpiodetect)" ] && modprobe gpio-pci-idio-16');
      await chipOf();
    }
    await edges.stop();
    await expectEdges();
  });

  test('a guest that is reset opens the outputs, and finds the inputs as the world has them', async () => {
    await guest.check(`gpioset -c ${await chipOf()} -t 0 OUT1=1 OUT14=1`);
    expect((await card.outputs()) & 0x4002).toBe(0x4002);
    await card.set({ IN2: 1, IN13: 1 });
    expect(await complaints(guest, expected)).toEqual([]);
    const [opened] = await card.changes(1, () => guest.reset());
    expect(opened).toMatchObject({ OUT1: 0, OUT14: 0 });
    expect([await card.outputs(), await card.inputs()]).toEqual([0, 0x2004]);
    expect(await guest.check(`gpioget --numeric -c ${await chipOf()} IIN1 IIN2 IIN13 IIN14`)).toBe('0 1 1 0');
    await card.set({ IN2: 0, IN13: 0 });
    await expectEdges();
  });

  test('a card that is attached already is refused to another slot, and the machine runs on', async () => {
    // QEMU 11.1 waits for an answer as long as it ever does, although the connection has ended, and its guest with it.
    const second = { socket: card.device.socket, bus: 'spare', 'x-msg-timeout': 300 };
    for (let round = 0; round < 3; round++) await expect(guest.plug(second)).rejects.toThrow('QEMU:');
    await expectEdges();
  });

  test('a daemon that is killed takes its card away, and nothing else', async () => {
    const [chip, otherChip] = [await chipOf(), await chipOf('0000:00:05.0')];
    await guest.check(`gpioset -c ${chip} --daemonize OUT3=1`);
    // Killed with a message of QEMU's unread it would take QEMU 11.1 along, whose assertion fails at ECONNRESET: nothing is under way here.
    await card.kill();
    // There is nobody to answer: reads are all ones, and writes go nowhere.
    expect(await guest.check(`gpioget --numeric -c ${chip} IIN0 IIN7 IIN8 IIN15`)).toBe('1 1 1 1');
    await guest.check(`killall gpioset; gpioset -c ${chip} -t 0 OUT4=1`);
    await guest.check(`gpioset -c ${otherChip} -t 0 OUT3=1`);
    expect(await other.outputs()).toBe(0x0008);
    await expectEdges(other, '0000:00:05.0');
    await guest.check(`echo ${address} >${driver}/unbind`);
  });

  test('the guest has no complaint', async () => {
    expect(await complaints(guest, expected)).toEqual([]);
  });
});

/** The second card's lines have the names of the first one's. */
const expected = [/gpiochip\d: Detected name collision/];
