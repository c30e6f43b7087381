/**
 * How a driver under test reaches a device: calls in this process; a UNIX socket; or QEMU's own vfio-user-pci, with the test as the
 * machine's processor (qtest). The device itself is in the test's process each time, so that a test can look into it.
 */
export const transports = ['in-process', 'socket', 'qemu'] as const;
export type Transport = (typeof transports)[number];

/** QEMU 10.1 or later: the beginning of an argument list, and variables that it needs. */
export interface QemuCommand {
  readonly command: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
}

/** What SIDECARD_TRANSPORT says, in-process when nothing. @throws when it says something else. */
export function transportFromEnvironment(): Transport {
  const said = process.env.SIDECARD_TRANSPORT || 'in-process';
  checkTransport(said, 'SIDECARD_TRANSPORT');
  return said;
}

/** @throws Error when it is none. */
export function checkTransport(said: string, what = 'transport'): asserts said is Transport {
  if (!(transports as readonly string[]).includes(said))
    throw new Error(`${what} is one of ${transports.join(', ')}, not ${said}`);
}

/** What SIDECARD_QEMU says: a program, or JSON of a QemuCommand. qemu-system-x86_64 when nothing. @throws when it is neither. */
export function qemuFromEnvironment(): QemuCommand {
  const said = process.env.SIDECARD_QEMU || 'qemu-system-x86_64';
  if (!said.startsWith('{')) return { command: [said] };
  try {
    const { command, env } = JSON.parse(said) as QemuCommand;
    if (command.length > 0 && command.every((word) => typeof word === 'string'))
      return { command, ...(env && { env }) };
  } catch {}
  throw new Error(`SIDECARD_QEMU is a program, or JSON {"command": ["qemu", ...], "env": {...}}, not ${said}`);
}
