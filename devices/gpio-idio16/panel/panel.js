import { Board, element } from './board.js';
import { levelOf, levelsWith, names } from './lines.js';
import { Scope } from './scope.js';
import { reasonOf, Stream } from './stream.js';

/** @import { Levels } from './lines.js' */
/** @typedef {{ atMs: number, outputs: Levels, inputs: Levels, loopback: boolean }} State */
/** @typedef {{ atMs: number, changed: Levels }} Change */

/** A page that nobody sees for longer than this lets go of its connection: browsers have six for all pages of a daemon. */
const hiddenMs = 15_000;
const answerMs = 5000;
/** A switch follows within this time, or somebody else has it. */
const followMs = 1000;
const wired = 'wired to the outputs (--loopback): the guest switches them';

let levels = 0;
let live = false;
let loopback = false;
/** @type {Levels | null} */
let latest = null;
/** Why nothing comes. */
let trouble = 'Connecting…';
let asleep = false;
let showing = false;
let answered = Promise.resolve();
/**
 * Switches that were pressed and have not followed yet, by their lines: pressed again before that is there and back.
 * @type {Map<number, { level: 0 | 1, atMs: number }>}
 */
const pressed = new Map();

const scope = new Scope();
const board = new Board(press);
const stream = new Stream('/changes', authorization, { event: receive, pause: show, gone });

/** The token is in the part of the address that browsers keep to themselves. */
function authorization() {
  return { authorization: `Bearer ${new URLSearchParams(location.hash.slice(1)).get('token') ?? ''}` };
}

/**
 * @param {string} event
 * @param {any} data
 */
function receive(event, data) {
  if (event === 'state') begin(data);
  if (event === 'change') follow(data);
  // What was missed is not known; `state` comes next.
  if (event === 'missed') scope.end();
}

/** @param {State} state */
function begin(state) {
  levels = levelsWith(levelsWith(0, state.outputs), state.inputs);
  loopback = state.loopback;
  live = true;
  pressed.clear();
  complain('');
  scope.begin(state.atMs, levels);
}

/** @param {Change} change */
function follow({ atMs, changed }) {
  levels = levelsWith(levels, changed);
  for (const [line, { level }] of pressed) if (level === levelOf(levels, line)) pressed.delete(line);
  latest = changed;
  scope.change(atMs, levels);
}

/** @param {{ readonly reason: string }} why */
function gone({ reason }) {
  live = false;
  trouble = reason;
  scope.end();
  show();
}

/** Once for all that comes until the next picture of the screen. */
function show() {
  if (showing) return;
  showing = true;
  requestAnimationFrame(() => {
    showing = false;
    document.body.dataset.live = String(live);
    say('status', live ? 'Live' : trouble);
    say('inputs-how', loopback ? wired : 'yours to switch');
    if (latest !== null) say('latest', `Latest change: ${textOf(latest)}`);
    board.show(levels);
    board.enable(live && !loopback);
  });
}

/** @param {Levels} changed */
function textOf(changed) {
  return Object.entries(changed)
    .map(([name, level]) => `${name} ${level}`)
    .join(', ');
}

/** @param {number} line */
function press(line) {
  if (!live || loopback) {
    complain(loopback ? `The inputs are ${wired}.` : 'Nobody is there to switch it.');
    return;
  }
  const before = pressed.get(line);
  const nowMs = performance.now();
  const level = levelOf(~(before && nowMs - before.atMs < followMs ? before.level << line : levels), line);
  pressed.set(line, { level, atMs: nowMs });
  answered = answered.then(() => set(line, level));
}

/**
 * @param {number} line
 * @param {0 | 1} level
 */
async function set(line, level) {
  const name = /** @type {string} */ (names[line]);
  try {
    const answer = await fetch('/inputs', {
      method: 'PATCH',
      headers: { ...authorization(), 'content-type': 'application/json' },
      body: JSON.stringify({ [name]: level }),
      signal: AbortSignal.timeout(answerMs),
    });
    if (!answer.ok) pressed.delete(line);
    complain(answer.ok ? '' : `${name} was not switched: ${await reasonOf(answer)}`);
    // To its end, or the connection stays taken. What it says comes by the stream too.
    if (answer.ok) await answer.text();
  } catch {
    pressed.delete(line);
    complain(`${name} was not switched: the daemon does not answer.`);
  }
}

/** @param {string} reason */
function complain(reason) {
  element('problem').hidden = reason === '';
  say('problem', reason);
}

/**
 * Text that is the same is not set again: it would be read out again.
 * @param {string} id
 * @param {string} text
 */
function say(id, text) {
  const shown = element(id);
  if (shown.textContent !== text) shown.textContent = text;
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let hiding;
function seenOrNot() {
  clearTimeout(hiding);
  if (document.hidden) hiding = setTimeout(sleep, hiddenMs);
  else if (asleep) wake();
}

function sleep() {
  asleep = true;
  stream.stop();
  gone({ reason: 'Asleep' });
}

function wake() {
  asleep = false;
  stream.start();
}

document.title = `PCI-IDIO-16 · ${location.host}`;
say('place', location.host);
document.addEventListener('visibilitychange', seenOrNot);
// Another token, typed or pasted over the first.
window.addEventListener('hashchange', wake);
board.show(levels);
show();
wake();
