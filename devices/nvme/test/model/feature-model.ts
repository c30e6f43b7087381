import { History } from './history.ts';

/** The values of features (NVMe Base 2.0, 5.27), each with what else selects it: a vector, a sensor, a namespace. */
export class FeatureModel {
  readonly #values = new Map<string, History<number>>();
  /** What they are after a reset, as the controller says when asked for it (select 1). */
  readonly #defaults = new Map<string, number>();

  value(feature: number, selector = 0): History<number> {
    const key = `${feature}/${selector}`;
    const known = this.#values.get(key);
    if (known !== undefined) return known;
    const value = new History(this.#defaults.get(key));
    this.#values.set(key, value);
    return value;
  }

  /** Before anything of it was set. */
  default(feature: number, selector: number, value: number): void {
    this.#defaults.set(`${feature}/${selector}`, value);
  }

  reset(): void {
    this.#values.clear();
  }
}
