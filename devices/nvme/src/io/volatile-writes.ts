import type { Command } from '../command/command.ts';
import type { Controller } from '../controller.ts';
import { isDurable } from './blocks.ts';

/**
 * Writes at drives that will not be durable when they end. A cache that is turned off (feature 06h) means the writes that complete from then on, and a
 * flush covers those that have completed: so Set Features waits for the ones in between. A successor counts again, as it runs the commands.
 */
export class VolatileWrites {
  readonly #controller: Controller;
  #count = 0;
  /** Set Features commands, parked. */
  readonly #waiting: Command[] = [];

  constructor(controller: Controller) {
    this.#controller = controller;
  }

  /** A write goes out now: whether it is to be durable when it ends. */
  begin(command: Command): boolean {
    if (isDurable(this.#controller, command)) return true;
    if (!command.isVolatile) this.#count++;
    command.isVolatile = true;
    return false;
  }

  /** A command that has begun has ended, however it did. */
  end(command: Command): void {
    command.isVolatile = false;
    if (--this.#count === 0) this.wake();
  }

  /** True when there are none; else the command is parked, and entered again. */
  settled(command: Command): boolean {
    if (this.#count === 0 || !this.#controller.features.writeThrough) return true;
    this.#waiting.push(command);
    return this.#controller.processor.park(command);
  }

  /** There are none any more, or the cache has been turned on again, so that nobody needs to wait. */
  wake(): void {
    // An array that is spliced is a new one, and this is on the way of every write.
    if (this.#waiting.length === 0) return;
    for (const command of this.#waiting.splice(0)) this.#controller.processor.unpark(command);
  }

  /** A reset: who waited has been disowned. */
  forget(): void {
    this.#waiting.length = 0;
  }
}
