import { VirtualClock } from '@sidecard/testing';
import { expect, test } from 'vitest';

test('timers run when their time comes, in order, those that they set too', () => {
  const clock = new VirtualClock(1000);
  const ran: string[] = [];
  clock.setTimer(20, () => ran.push(`b${clock.now()}`));
  clock.setTimer(10, () => {
    ran.push(`a${clock.now()}`);
    clock.setTimer(5, () => ran.push(`c${clock.now()}`));
  });
  const cancelled = clock.setTimer(15, () => ran.push('never'));
  cancelled.cancel();
  clock.advance(9);
  expect(ran).toEqual([]);
  clock.advance(100);
  expect(ran).toEqual(['a10', 'c15', 'b20']);
  expect([clock.now(), clock.wallTime(), clock.timers]).toEqual([109, 1109, 0]);
});

test('time does not go back, nor stand still for ever', () => {
  const clock = new VirtualClock();
  expect(() => clock.advance(-1)).toThrow(RangeError);
  expect(() => clock.advance(Number.NaN)).toThrow(RangeError);
  const again = () => void clock.setTimer(0, again);
  again();
  expect(() => clock.advance(1)).toThrow('timers at 0 ms set others for then, on and on');
});
