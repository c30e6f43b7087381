import type { ControlClient } from './client.ts';

/** A client of a daemon's control socket. Loaded when it is asked for: a daemon does not need it. */
export async function openControl(path: string): Promise<ControlClient> {
  const client = await import('./client.ts');
  return new client.ControlClient(path);
}
