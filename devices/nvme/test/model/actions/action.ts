import type fc from 'fast-check';
import type { Model } from '../model.ts';
import type { Real } from '../real.ts';

/** One thing that the driver, or the world around the controller, does. */
export abstract class Action implements fc.AsyncCommand<Model, Real> {
  /** It makes sense now. */
  check(_model: Readonly<Model>): boolean {
    return true;
  }

  abstract act(model: Model, real: Real): void | Promise<void>;

  async run(model: Model, real: Real): Promise<void> {
    await this.act(model, real);
    model.memory.check(`${this}`);
  }

  abstract toString(): string;
}
