import type { Model } from '../model.ts';
import type { Real } from '../real.ts';
import { Action } from './action.ts';
import type { Submit } from './submit.ts';
import { drain } from './time.ts';

/** The process of the device falls asleep, if it has nothing to do; and is woken by what is submitted then, if by nothing else. */
export class Sleep extends Action {
  readonly #submit: Submit | null;

  constructor(submit: Submit | null) {
    super();
    this.#submit = submit;
  }

  override check(model: Readonly<Model>): boolean {
    return model.state === 'enabled';
  }

  async act(model: Model, real: Real): Promise<void> {
    real.sleep();
    if (this.#submit === null) return;
    this.#submit.act(model);
    await drain(model, real);
  }

  toString(): string {
    return `sleep${this.#submit === null ? '' : `, and ${this.#submit}`}`;
  }
}
