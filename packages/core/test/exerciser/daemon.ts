import { DaemonProcess, fromSource, VfioUserClient } from '@sidecard/testing';

/** An exerciser served by a process of its own, which logs nothing where all is well. */
export function startExerciser(drainMs = 4000): Promise<DaemonProcess> {
  return DaemonProcess.start(fromSource(new URL('./serve.ts', import.meta.url), '{socket}', String(drainMs)));
}

export interface ExerciserBus {
  readonly daemon: DaemonProcess;
  /** Sockets of its functions 0, 1 and on, which use INTA#, INTB# and on. */
  readonly sockets: readonly string[];
}

/** Exercisers that are the functions of one device, in one process. */
export async function startExerciserBus(functions: number): Promise<ExerciserBus> {
  // A daemon is up when it listens at {socket}: function 0 comes last.
  const others = Array.from({ length: functions - 1 }, (_, index) => `{folder}/${functions - 1 - index}.sock`);
  const daemon = await DaemonProcess.start(
    fromSource(new URL('./serve-bus.ts', import.meta.url), ...others, '{socket}'),
  );
  const paths = others.map((path) => path.replace('{folder}', daemon.folder)).reverse();
  return { daemon, sockets: [daemon.socket, ...paths] };
}

/** A client that has not negotiated yet. */
export function clientOf(daemon: DaemonProcess): VfioUserClient {
  return new VfioUserClient(daemon.connect());
}
