import { DaemonProcess, fromSource, VfioUserClient } from '@sidecard/testing';

/** An exerciser served by a process of its own, which logs nothing where all is well. */
export function startExerciser(drainMs = 4000): Promise<DaemonProcess> {
  return DaemonProcess.start(fromSource(new URL('./serve.ts', import.meta.url), '{socket}', String(drainMs)));
}

/** A client that has not negotiated yet. */
export function clientOf(daemon: DaemonProcess): VfioUserClient {
  return new VfioUserClient(daemon.connect());
}
