import { expect, test } from 'vitest';
import { History } from '../panel/history.js';

const windowMs = 1000;
const stepMs = 4;
const moment = (atMs: number, levels: number, toggled: number, known = true) => ({ atMs, levels, toggled, known });

test('has each change with its time, and what changed', () => {
  const history = new History(windowMs, stepMs);
  history.begin(100, 0);
  history.change(110, 0x8000_0001);
  history.change(120, 0x8000_0000);
  expect(history.moments).toEqual([
    moment(100, 0, 0),
    moment(110, 0x8000_0001, 0x8000_0001),
    moment(120, 0x8000_0000, 1),
  ]);
  expect(history.latestMs).toBe(120);
});

test('changes within a step are one moment: there and back has toggled', () => {
  const history = new History(windowMs, stepMs);
  history.begin(90, 0);
  history.change(100, 1);
  history.change(101, 3);
  history.change(102, 2);
  expect(history.moments).toEqual([moment(90, 0, 0), moment(100, 2, 3)]);
});

test('of a time without a daemon, and before, nothing is known', () => {
  const history = new History(windowMs, stepMs);
  history.end(50);
  history.change(60, 1);
  expect(history.moments).toEqual([]);
  history.begin(100, 1);
  history.end(200);
  history.end(300);
  history.change(310, 2);
  history.begin(400, 2);
  expect(history.moments).toEqual([moment(100, 1, 0), moment(200, 1, 0, false), moment(400, 2, 0)]);
});

test('levels that come anew while some are known follow a gap, not an edge that nobody saw', () => {
  const history = new History(windowMs, stepMs);
  history.begin(100, 0);
  history.begin(200, 1);
  expect(history.moments.map(({ known, toggled }) => [known, toggled])).toEqual([
    [true, 0],
    [false, 0],
    [true, 0],
  ]);
});

test('what has left the window is forgotten, but for what was the case when it begins', () => {
  const history = new History(windowMs, stepMs);
  history.begin(0, 0);
  for (const atMs of [100, 200, 300]) history.change(atMs, atMs);
  history.forget(1250);
  expect(history.moments.map(({ atMs }) => atMs)).toEqual([200, 300]);
  history.forget(9999);
  expect(history.moments.map(({ atMs }) => atMs)).toEqual([300]);
});

test('however fast a guest is, what is kept has an end', () => {
  const history = new History(windowMs, stepMs);
  history.begin(0, 0);
  for (let i = 1; i <= 500_000; i++) history.change(i / 50, i);
  expect(history.moments.length).toBeLessThanOrEqual(windowMs / stepMs + 2);
});
