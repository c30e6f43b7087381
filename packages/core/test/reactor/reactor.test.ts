import { beforeEach, expect, test } from 'vitest';
import type { PollSource } from '../../src/reactor/poll-source.ts';
import { Reactor, type ReactorOptions } from '../../src/reactor/reactor.ts';
import { MAX_WINDOW_US } from '../../src/reactor/spin-window.ts';
import { VirtualWorld } from './virtual-world.ts';

class Source implements PollSource {
  work = 0;
  looks = 0;
  done = 0;
  armed = 0;
  disarmed = 0;
  refusesToArm = 0;
  silent?: boolean;
  readonly wakeFd?: number;

  constructor(wakeFd?: number) {
    if (wakeFd !== undefined) this.wakeFd = wakeFd;
  }

  poll(): boolean {
    this.looks++;
    if (this.work === 0) return false;
    this.work--;
    this.done++;
    return true;
  }

  arm(): boolean {
    this.armed++;
    if (this.work > 0) return false;
    if (this.refusesToArm === 0) return true;
    this.refusesToArm--;
    return false;
  }

  disarm(): void {
    this.disarmed++;
  }
}

let world: VirtualWorld;
beforeEach(() => {
  world = new VirtualWorld();
});

/** A reactor that has looked once and sleeps. */
function asleep(...sources: Source[]): Reactor {
  return asleepAs({}, ...sources);
}

function asleepAs(options: ReactorOptions, ...sources: Source[]): Reactor {
  const reactor = new Reactor(world, options);
  for (const source of sources) reactor.add(source);
  world.run();
  expect(reactor.asleep).toBe(true);
  return reactor;
}

/** Brings work after every sleep of `gapUs`, `times` times. */
function pingPong(reactor: Reactor, source: Source, gapUs: number, times: number): void {
  for (let i = 0; i < times; i++) {
    expect(reactor.asleep).toBe(true);
    world.timeUs += gapUs;
    source.work = 1;
    world.wake(source.wakeFd!);
    world.run();
  }
}

test('sleeps when there is nothing: no look, no timer, no callback', () => {
  const source = new Source(3);
  asleep(source);
  const { looks } = source;
  const { clockReads } = world;
  world.run();
  expect(world.timer).toBeNull();
  expect(world.soonQueue).toHaveLength(0);
  expect([source.looks, world.clockReads]).toEqual([looks, clockReads]);
});

test('an fd wakes it, and everything there is is done before it sleeps again', () => {
  const source = new Source(3);
  const other = new Source();
  const reactor = asleep(source, other);
  source.work = 5;
  other.work = 3;
  world.wake(3);
  expect([source.done, other.done]).toEqual([5, 3]);
  expect(reactor.asleep).toBe(true);
});

test('arms every source before sleep, and does not sleep when one has work after all', () => {
  const source = new Source(3);
  const reactor = asleep(source);
  source.refusesToArm = 2;
  const { armed } = source;
  source.work = 1;
  world.wake(3);
  expect(source.armed - armed).toBe(3);
  expect(reactor.asleep).toBe(true);
  const { disarmed } = source;
  source.work = 1;
  world.wake(3);
  expect(source.disarmed).toBe(disarmed + 1);
});

test('the window grows when work comes soon after sleeping, and catches the next without sleep', () => {
  const source = new Source(3);
  const reactor = asleep(source);
  pingPong(reactor, source, 5, 1);
  expect(reactor.window.us).toBeGreaterThan(0);
  // From now on something comes 10 us after each answer, while it looks on.
  let next = 0;
  world.onLook = (nowUs) => {
    if (source.done >= 60 || source.work > 0 || nowUs < next) return;
    source.work = 1;
    next = nowUs + 10;
  };
  source.work = 1;
  world.wake(3);
  world.run();
  expect(source.done).toBe(60);
  expect(reactor.asleep).toBe(true);
});

test('the window is zero after long pauses: it then sleeps at once', () => {
  const source = new Source(3);
  const reactor = asleep(source);
  pingPong(reactor, source, 5000, 50);
  expect(reactor.window.us).toBe(0);
});

test('where looking on never finds anything, it is tried less and less', () => {
  const source = new Source(3);
  const reactor = asleep(source);
  let tries = 0;
  for (let i = 0; i < 4000; i++) {
    world.timeUs += 10;
    source.work = 1;
    world.wake(3);
    if (reactor.window.us > 0) tries++;
  }
  expect(tries).toBeLessThan(60);
});

test('never more than the longest window', () => {
  const source = new Source(3);
  const reactor = asleep(source);
  for (let i = 0; i < 100; i++) reactor.window.hit();
  expect(reactor.window.us).toBeLessThanOrEqual(MAX_WINDOW_US);
});

test("'never' sleeps at once, without a second look", () => {
  const source = new Source(3);
  const reactor = asleepAs({ poll: 'never' }, source);
  const { looks } = source;
  pingPong(reactor, source, 5, 100);
  expect(reactor.window.us).toBe(0);
  expect(source.looks - looks).toBe(100);
});

test('with one processor it gives way while it looks on', () => {
  world.cpus = 1;
  const source = new Source(3);
  const reactor = asleep(source);
  let left = 100;
  world.onYield = () => {
    if (left-- > 0) source.work = 1;
  };
  pingPong(reactor, source, 5, 1);
  expect(source.done).toBe(101);
  expect(source.armed).toBe(2);
});

test('with one processor that somebody else wants for long, it sleeps at once', () => {
  world.cpus = 1;
  world.onYield = () => {
    world.timeUs += 3000;
  };
  const source = new Source(3);
  const reactor = asleep(source);
  pingPong(reactor, source, 5, 20);
  expect(reactor.window.us).toBe(0);
  expect(world.yields).toBe(1);
});

test('preempted while looking on, it stops looking on', () => {
  const source = new Source(3);
  const reactor = asleep(source);
  pingPong(reactor, source, 5, 1);
  reactor.window.us = 50;
  world.switches++;
  pingPong(reactor, source, 5, 20);
  expect(reactor.window.us).toBe(0);
});

test('yields to timers and promises at bounded intervals while there is no end of work', () => {
  const source = new Source(3);
  const reactor = asleep(source);
  source.work = 1_000_000;
  const before = world.timeUs;
  world.wake(3);
  expect(reactor.asleep).toBe(false);
  expect(world.soonQueue).toHaveLength(1);
  expect(world.timeUs - before).toBeLessThan(1100);
  expect(world.loop()).toBe(true);
  expect(world.soonQueue).toHaveLength(1);
});

test('looks at the clock rarely', () => {
  const source = new Source(3);
  asleep(source);
  source.work = 1000;
  const { clockReads } = world;
  world.wake(3);
  expect(world.clockReads - clockReads).toBeLessThan(130);
});

test('a slow source is looked at every 16th turn while another is busy, each turn while it is the busy one', () => {
  const socket = new Source(3);
  const doorbells = new Source();
  const reactor = new Reactor(world);
  reactor.add(socket, true);
  reactor.add(doorbells);
  world.run();
  doorbells.work = 320;
  socket.looks = 0;
  reactor.kick();
  world.run();
  expect(doorbells.done).toBe(320);
  expect(socket.looks).toBeLessThan(30);
  socket.work = 320;
  socket.looks = 0;
  doorbells.looks = 0;
  world.wake(3);
  expect(socket.done).toBe(320);
  expect(doorbells.looks).toBeGreaterThanOrEqual(320);
});

test('a silent source gets a timer instead of sleep, and short looks', () => {
  const doorbells = new Source();
  doorbells.silent = true;
  const reactor = asleep(doorbells);
  expect(world.timer).not.toBeNull();
  const { looks } = doorbells;
  const timer = world.timer!;
  world.timer = null;
  timer();
  expect(reactor.asleep).toBe(true);
  expect(world.timer).not.toBeNull();
  expect(doorbells.looks - looks).toBeLessThan(4);
  doorbells.work = 1;
  const before = world.timeUs;
  world.timer!();
  expect(doorbells.done).toBe(1);
  expect(world.timeUs - before).toBeGreaterThanOrEqual(MAX_WINDOW_US);
});

test('dedicated never sleeps', () => {
  const source = new Source(3);
  const reactor = new Reactor(world, { poll: 'dedicated' });
  reactor.add(source);
  for (let i = 0; i < 10; i++) expect(world.loop()).toBe(true);
  expect(reactor.asleep).toBe(false);
  source.work = 1;
  world.loop();
  expect(source.done).toBe(1);
  reactor.stop();
  world.run();
});

test('work that is left over runs before it sleeps', () => {
  let left = 0;
  let ran = 0;
  const source = new Source(3);
  const reactor = new Reactor(world, {
    afterWork: () => {
      if (left === 0) return false;
      left--;
      ran++;
      return true;
    },
  });
  reactor.add(source);
  world.run();
  left = 3;
  reactor.kick();
  world.run();
  expect(ran).toBe(3);
  expect(reactor.asleep).toBe(true);
});

test('a source that throws is reported, and the others go on', () => {
  const errors: unknown[] = [];
  const reactor = new Reactor(world, { failed: (error) => errors.push(error) });
  const bad: PollSource = {
    wakeFd: 4,
    poll: () => {
      if (errors.length < 2) throw new Error('bad source');
      return false;
    },
  };
  const good = new Source(5);
  reactor.add(bad);
  reactor.add(good);
  world.run();
  good.work = 1;
  world.wake(5);
  expect(errors).toHaveLength(2);
  expect(good.done).toBe(1);
});

test('a source removed is not looked at, not even in the same turn, and its fd is not watched', () => {
  const reactor = new Reactor(world);
  const second = new Source(6);
  const first: PollSource = {
    poll: () => {
      remove();
      return false;
    },
  };
  reactor.add(first);
  const remove = reactor.add(second);
  world.run();
  expect(world.watched.has(6)).toBe(false);
  expect(reactor.asleep).toBe(true);
});

test('nothing is allocated per turn', () => {
  const source = new Source(3);
  const reactor = asleep(source);
  const rounds = () => {
    for (let i = 0; i < 200_000; i++) {
      source.work = 1;
      reactor.turn();
    }
  };
  rounds();
  const before = process.memoryUsage().heapUsed;
  rounds();
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(200_000);
});
