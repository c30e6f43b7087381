import { element } from './board.js';
import { Diagram, windowMs } from './diagram.js';
import { History } from './history.js';

const stepMs = 4;
/** Between two pictures, for people who do not want motion. */
const calmMs = 500;
const sleptMs = 2000;

/** The timing diagram in the page: it is drawn while anything in it moves, and not otherwise. */
export class Scope {
  #history = new History(windowMs, stepMs);
  #diagram = new Diagram(/** @type {HTMLCanvasElement} */ (element('diagram')));
  /** The daemon's clock less this page's, ms. */
  #aheadMs = 0;
  #scheduled = false;
  /** @type {{ moments: History['moments'], nowMs: number } | null} */
  #held = null;
  #calm = matchMedia('(prefers-reduced-motion: reduce)');

  constructor() {
    const canvas = element('diagram');
    new ResizeObserver(() => this.#fit()).observe(canvas);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#fit());
    element('hold').addEventListener('click', () => this.#hold());
  }

  /**
   * @param {number} atMs
   * @param {number} levels
   */
  begin(atMs, levels) {
    this.#aheadMs = atMs - performance.now();
    this.#history.begin(atMs, levels);
    this.#schedule();
  }

  /**
   * @param {number} atMs
   * @param {number} levels
   */
  change(atMs, levels) {
    // Nothing comes from later than now: whatever came quickest tells the daemon's time best. When it comes later than any
    // connection takes, one of the clocks has slept.
    const aheadMs = atMs - performance.now();
    if (aheadMs > this.#aheadMs || aheadMs < this.#aheadMs - sleptMs) this.#aheadMs = aheadMs;
    this.#history.change(atMs, levels);
    this.#schedule();
  }

  end() {
    this.#history.end(this.#nowMs);
    this.#schedule();
  }

  get #nowMs() {
    return performance.now() + this.#aheadMs;
  }

  #hold() {
    const { moments } = this.#history;
    this.#held = this.#held === null ? { moments: moments.map((moment) => ({ ...moment })), nowMs: this.#nowMs } : null;
    element('hold').setAttribute('aria-pressed', String(this.#held !== null));
    this.#schedule();
  }

  #fit() {
    this.#diagram.fit();
    this.#draw();
  }

  #schedule() {
    if (this.#scheduled || this.#held !== null) return;
    this.#scheduled = true;
    if (this.#calm.matches) setTimeout(() => this.#next(), calmMs);
    else requestAnimationFrame(() => this.#next());
  }

  #next() {
    this.#scheduled = false;
    this.#draw();
    // When the latest edge has left at the other end, every picture is as this one.
    if (this.#nowMs - this.#history.latestMs <= windowMs) this.#schedule();
  }

  #draw() {
    const nowMs = this.#nowMs;
    this.#history.forget(nowMs);
    const { moments, nowMs: shownMs } = this.#held ?? { moments: this.#history.moments, nowMs };
    this.#diagram.draw(moments, shownMs);
  }
}
