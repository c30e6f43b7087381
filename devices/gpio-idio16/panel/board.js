import { levelOf, names } from './lines.js';

/** @param {string} id */
export function element(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}

/** Lamps and switches: the page's picture of the levels. */
export class Board {
  /** @type {HTMLElement[]} */
  #lines = [];

  /** @param {(line: number) => void} pressed a switch was, by hand or by key */
  constructor(pressed) {
    for (const [line, name] of names.entries()) {
      const item = document.createElement('li');
      item.append(line < 16 ? lamp(name) : this.#switch(name, () => pressed(line)));
      element(line < 16 ? 'outputs' : 'inputs').append(item);
      this.#lines.push(/** @type {HTMLElement} */ (item.firstChild));
    }
  }

  /** @param {number} levels */
  show(levels) {
    for (const [line, shown] of this.#lines.entries()) {
      const level = String(levelOf(levels, line));
      if (shown.dataset.level === level) continue;
      shown.dataset.level = level;
      if (line < 16) /** @type {HTMLElement} */ (shown.lastChild).textContent = level;
      else shown.setAttribute('aria-checked', String(level === '1'));
    }
    element('outputs-value').textContent = hexadecimal(levels & 0xffff);
    element('inputs-value').textContent = hexadecimal(levels >>> 16);
  }

  /**
   * Switches that cannot be used stay where the keyboard finds them, and say why.
   * @param {boolean} can
   */
  enable(can) {
    for (const shown of this.#lines.slice(16)) {
      shown.setAttribute('aria-disabled', String(!can));
      shown.setAttribute('aria-describedby', can ? '' : 'inputs-how');
    }
  }

  /**
   * @param {string} name
   * @param {() => void} pressed
   */
  #switch(name, pressed) {
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'line switch';
    button.setAttribute('role', 'switch');
    button.append(part('slide', ''), part('name', name));
    button.addEventListener('click', pressed);
    return button;
  }
}

/** @param {string} name */
function lamp(name) {
  const shown = document.createElement('span');
  shown.id = name;
  shown.className = 'line';
  shown.append(part('lamp', ''), part('name', name), part('level', ''));
  return shown;
}

/**
 * @param {string} className
 * @param {string} text
 */
function part(className, text) {
  const shown = document.createElement('span');
  shown.className = className;
  shown.textContent = text;
  return shown;
}

/** @param {number} levels */
function hexadecimal(levels) {
  return `0x${levels.toString(16).padStart(4, '0')}`;
}
