import { setImmediate } from 'node:timers/promises';
import type { InProcessServer } from '../in-process.ts';

/** How long a device may take to end, real milliseconds: its drives flush. */
const END_TIMEOUT_MS = 10_000;

/**
 * The time that a plugged device gets. What the device's code throws, which the server has caught and logged, is thrown again where the test waits:
 * a test of a device that fails is not to pass, nor to wait for what will never come.
 */
export class DeviceTurns {
  readonly #server: InProcessServer;
  #told = false;
  #ending = false;

  constructor(server: InProcessServer) {
    this.#server = server;
  }

  /** Gives the device time once. True when it did something. @throws what the device has thrown. */
  readonly turn = (): boolean => {
    const worked = this.#server.turn();
    const { failures } = this.#server;
    if (this.#ending || failures.length === 0) return worked;
    this.#told = true;
    throw failures.shift();
  };

  /** From now on everything is to be let go first. */
  hold(): void {
    this.#ending = true;
  }

  /** Ends the device and its server. @throws Error when its I/O does not end, or what it has thrown and nobody was told of. */
  async close(): Promise<void> {
    this.hold();
    const { failures } = this.#server;
    let ended = false;
    const closing = this.#server.close().finally(() => {
      ended = true;
    });
    closing.catch(() => {});
    const deadline = performance.now() + END_TIMEOUT_MS;
    while (!ended) {
      if (performance.now() > deadline) throw new Error(`the device has not ended in ${END_TIMEOUT_MS} ms`);
      this.turn();
      await setImmediate();
    }
    await closing;
    if (!this.#told && failures.length > 0) throw failures.shift();
  }
}
