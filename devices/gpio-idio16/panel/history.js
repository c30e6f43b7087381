/**
 * Levels from a time on, until the next. `toggled` has the lines that changed at that time, or that changed and changed back.
 * @typedef {{ readonly atMs: number, levels: number, toggled: number, readonly known: boolean }} Moment
 */

/** What the lines did in the last seconds, as far as it is known: nobody tells while the daemon is gone. */
export class History {
  /** @type {Moment[]} */
  moments = [];
  /** The last time at which anything is to be seen that moves, ms. */
  latestMs = Number.NEGATIVE_INFINITY;
  #windowMs;
  #stepMs;

  /**
   * @param {number} windowMs how far it reaches back
   * @param {number} stepMs changes within one are one: what is kept has an end, however fast a guest is
   */
  constructor(windowMs, stepMs) {
    this.#windowMs = windowMs;
    this.#stepMs = stepMs;
  }

  /**
   * From here on the levels are known. What they were just before is not.
   * @param {number} atMs
   * @param {number} levels
   */
  begin(atMs, levels) {
    this.end(atMs);
    this.#push({ atMs, levels, toggled: 0, known: true });
  }

  /**
   * From here on they are not.
   * @param {number} atMs
   */
  end(atMs) {
    const last = this.moments.at(-1);
    if (last?.known) this.#push({ atMs: Math.max(atMs, last.atMs), levels: last.levels, toggled: 0, known: false });
  }

  /**
   * @param {number} atMs
   * @param {number} levels
   */
  change(atMs, levels) {
    const last = this.moments.at(-1);
    if (last === undefined || !last.known) return;
    const toggled = (levels ^ last.levels) >>> 0;
    if (Math.floor(atMs / this.#stepMs) === Math.floor(last.atMs / this.#stepMs)) {
      last.toggled |= toggled;
      last.levels = levels;
    } else this.#push({ atMs, levels, toggled, known: true });
  }

  /**
   * What is within the window, and what was the case when it began.
   * @param {number} nowMs
   */
  forget(nowMs) {
    const later = this.moments.findIndex(({ atMs }) => atMs > nowMs - this.#windowMs);
    const begin = later < 0 ? this.moments.length : later;
    if (begin > 1) this.moments.splice(0, begin - 1);
  }

  /** @param {Moment} moment */
  #push(moment) {
    this.moments.push(moment);
    this.latestMs = moment.atMs;
    this.forget(moment.atMs);
  }
}
