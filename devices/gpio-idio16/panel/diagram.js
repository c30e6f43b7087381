import { levelOf, names } from './lines.js';

/** @import { Moment } from './history.js' */

/** How far the diagram reaches back, ms. */
export const windowMs = 12_000;
const rowPx = 17;
const axisPx = 22;
const namesPx = 52;
/** Between outputs and inputs. */
const betweenPx = 10;

/** Height of the diagram, in CSS' pixels. */
export const heightPx = names.length * rowPx + betweenPx + axisPx;

/**
 * Where a line's levels are, from the top, in CSS' pixels.
 * @param {number} line
 */
export function rowOf(line) {
  const top = line * rowPx + (line < 16 ? 0 : betweenPx);
  return { high: top + 3, low: top + rowPx - 3 };
}

/**
 * Where a time is, from the left, in CSS' pixels.
 * @param {number} atMs
 * @param {number} nowMs
 * @param {number} widthPx
 */
export function columnOf(atMs, nowMs, widthPx) {
  return widthPx - ((nowMs - atMs) / windowMs) * (widthPx - namesPx);
}

/** @typedef {{ text: string, faint: string, grid: string, gap: string, output: string, input: string }} Colours */

/** The timing diagram on a canvas: a row for each line, now at the right end. */
export class Diagram {
  #canvas;
  #context;
  #widthPx = 0;
  /** @type {Colours} */
  #colours = { text: '', faint: '', grid: '', gap: '', output: '', input: '' };

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.#canvas = canvas;
    this.#context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    canvas.style.height = `${heightPx}px`;
    this.fit();
  }

  /** Takes its size, the screen's pixels and the colours anew. */
  fit() {
    const canvas = this.#canvas;
    const scale = globalThis.devicePixelRatio;
    this.#widthPx = canvas.clientWidth;
    canvas.width = Math.round(this.#widthPx * scale);
    canvas.height = Math.round(heightPx * scale);
    this.#context.setTransform(scale, 0, 0, scale, 0, 0);
    const style = getComputedStyle(canvas);
    for (const name of /** @type {(keyof Colours)[]} */ (Object.keys(this.#colours))) {
      this.#colours[name] = style.getPropertyValue(`--${name}`);
    }
  }

  /**
   * @param {readonly Moment[]} moments
   * @param {number} nowMs
   */
  draw(moments, nowMs) {
    const context = this.#context;
    context.clearRect(0, 0, this.#widthPx, heightPx);
    this.#drawGrid();
    context.save();
    context.beginPath();
    context.rect(namesPx, 0, this.#widthPx - namesPx, heightPx - axisPx);
    context.clip();
    const columns = moments.map(({ atMs }) => columnOf(atMs, nowMs, this.#widthPx));
    this.#drawGaps(moments, columns);
    for (let line = 0; line < names.length; line++) this.#drawLine(line, moments, columns);
    context.restore();
  }

  #drawGrid() {
    const context = this.#context;
    const { text, faint, grid } = this.#colours;
    context.lineWidth = 1;
    context.textBaseline = 'middle';
    context.font = '11px "DejaVu Sans Mono", ui-monospace, monospace';
    context.textAlign = 'center';
    for (let ms = 0; ms <= windowMs; ms += 1000) {
      const x = Math.min(Math.round(columnOf(-ms, 0, this.#widthPx)) + 0.5, this.#widthPx - 0.5);
      context.strokeStyle = grid;
      context.beginPath();
      context.moveTo(x, 0);
      context.lineTo(x, heightPx - axisPx);
      context.stroke();
      context.fillStyle = faint;
      if (ms > 0 && ms % 2000 === 0) context.fillText(`−${ms / 1000} s`, x, heightPx - axisPx / 2);
    }
    context.textAlign = 'right';
    context.fillText('now', this.#widthPx, heightPx - axisPx / 2);
    context.textAlign = 'left';
    context.fillStyle = text;
    for (const [line, name] of names.entries()) {
      const { high, low } = rowOf(line);
      context.fillText(name, 0, (high + low) / 2 + 0.5);
    }
  }

  /**
   * @param {readonly Moment[]} moments
   * @param {readonly number[]} columns
   */
  #drawGaps(moments, columns) {
    const context = this.#context;
    const gaps = moments.flatMap(({ known }, index) =>
      known ? [] : [[at(columns, index), columns[index + 1] ?? this.#widthPx]],
    );
    gaps.push([namesPx, columns[0] ?? this.#widthPx]);
    context.strokeStyle = this.#colours.gap;
    for (const [left = 0, right = 0] of gaps) {
      if (right <= left) continue;
      context.save();
      context.beginPath();
      context.rect(left, 0, right - left, heightPx - axisPx);
      context.clip();
      context.beginPath();
      // The pattern belongs to the gap's end, with which it moves.
      for (let x = right; x > left - heightPx; x -= 10) {
        context.moveTo(x, 0);
        context.lineTo(x + heightPx, heightPx);
      }
      context.stroke();
      context.restore();
    }
  }

  /**
   * @param {number} line
   * @param {readonly Moment[]} moments
   * @param {readonly number[]} columns
   */
  #drawLine(line, moments, columns) {
    const context = this.#context;
    const { high, low } = rowOf(line);
    const colour = line < 16 ? this.#colours.output : this.#colours.input;
    const bit = 1 << line;
    context.beginPath();
    /** Where it became high; and where a run of known levels began. */
    let rising = Number.NaN;
    let drawn = false;
    context.fillStyle = colour;
    context.globalAlpha = 0.22;
    for (const [index, { known, levels, toggled }] of moments.entries()) {
      const x = at(columns, index);
      const before = Number.isNaN(rising) ? low : high;
      const y = levelOf(levels, line) === 1 ? high : low;
      if (drawn && !known) context.lineTo(x, before);
      else if (drawn && toggled & bit) {
        context.lineTo(x, before);
        // There and back within a step: a spike.
        if (y === before) context.lineTo(x, y === high ? low : high);
        context.lineTo(x, y);
      } else if (!drawn && known) context.moveTo(x, y);
      const isHigh = known && y === high;
      if (!Number.isNaN(rising) && !isHigh) {
        context.fillRect(rising, high, x - rising, low - high);
        rising = Number.NaN;
      } else if (Number.isNaN(rising) && isHigh) rising = x;
      drawn = known;
    }
    if (!Number.isNaN(rising)) context.fillRect(rising, high, this.#widthPx - rising, low - high);
    if (drawn) context.lineTo(this.#widthPx, Number.isNaN(rising) ? low : high);
    context.globalAlpha = 1;
    context.strokeStyle = colour;
    context.lineWidth = 1.5;
    context.lineJoin = 'miter';
    context.stroke();
  }
}

/**
 * @param {readonly number[]} columns
 * @param {number} index
 */
function at(columns, index) {
  return columns[index] ?? 0;
}
