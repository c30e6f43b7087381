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
  const said = process.env.SIDECARD_TRANSPORT ?? 'in-process';
  const transport = transports.find((one) => one === said);
  if (transport === undefined) throw new Error(`SIDECARD_TRANSPORT is one of ${transports.join(', ')}, not ${said}`);
  return transport;
}

/** What SIDECARD_QEMU says: a program, or JSON of a QemuCommand. qemu-system-x86_64 when nothing. */
export function qemuFromEnvironment(): QemuCommand {
  const said = process.env.SIDECARD_QEMU ?? 'qemu-system-x86_64';
  return said.startsWith('{') ? (JSON.parse(said) as QemuCommand) : { command: [said] };
}
