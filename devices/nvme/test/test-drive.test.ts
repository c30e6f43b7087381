import { BlockRequest, RangeHold } from '@sidecard/block';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { TestDrive } from './test-drive.ts';

class Request extends BlockRequest {
  ended = false;

  done(): void {
    this.ended = true;
  }
}

class Hold extends RangeHold {
  had = false;

  held(): void {
    this.had = true;
  }
}

function writeZeroes(drive: TestDrive, offset: number, lengthBytes: number, under: RangeHold | null = null): Request {
  const request = new Request();
  Object.assign(request, { operation: 'writeZeroes', offset, lengthBytes, under });
  if (drive.submit(request)) request.done();
  drive.commit();
  return request;
}

function hold(drive: TestDrive, offset: number, lengthBytes: number): Hold {
  const taken = new Hold();
  taken.offset = offset;
  taken.lengthBytes = lengthBytes;
  taken.had = drive.hold(taken);
  return taken;
}

test.each([false, true])('what others write waits for a range that is held, slow %s', (slow) => {
  const drive = new TestDrive(4096);
  drive.slow = slow;
  const first = hold(drive, 0, 1024);
  const [inside, beside] = [writeZeroes(drive, 512, 512), writeZeroes(drive, 1024, 512)];
  const under = writeZeroes(drive, 0, 512, first);
  while (drive.poll());
  expect([first.had, inside.ended, beside.ended, under.ended]).toEqual([true, false, true, true]);
  expect(drive.inFlight).toBe(1);
  const second = hold(drive, 512, 512);
  drive.letGo(first);
  while (drive.poll());
  expect([inside.ended, second.had, drive.inFlight]).toEqual([true, true, 0]);
  drive.letGo(second);
});

test('nothing of others is done between two requests under a hold, in whatever order requests end', () => {
  const range = fc.record({ offset: fc.nat(7), blocks: fc.integer({ min: 1, max: 3 }), hold: fc.boolean() });
  fc.assert(
    fc.property(fc.array(range, { maxLength: 40 }), fc.nat(), (ranges, seed) => {
      const drive = new TestDrive(16 * 512, { seed: seed + 1 });
      drive.slow = true;
      let inside: { hold: Hold; left: number }[] = [];
      // Asked as a request takes effect.
      drive.fail = (request) => {
        const clash = inside.filter(
          ({ hold: { offset, lengthBytes } }) =>
            request.offset < offset + lengthBytes && offset < request.offset + request.lengthBytes,
        );
        expect(clash.every((one) => request.under === one.hold)).toBe(true);
        return 0;
      };
      const waiting: Hold[] = [];
      const requests: Request[] = [];
      const turn = () => {
        for (const taken of waiting.filter((one) => one.had)) {
          waiting.splice(waiting.indexOf(taken), 1);
          inside.push({ hold: taken, left: 2 });
        }
        for (const one of inside) {
          if (requests.some((request) => request.under === one.hold && !request.ended)) continue;
          if (one.left-- > 0) requests.push(writeZeroes(drive, one.hold.offset, 512, one.hold));
          else {
            inside = inside.filter((other) => other !== one);
            drive.letGo(one.hold);
          }
        }
        return drive.poll() || inside.length > 0 || waiting.some((one) => one.had);
      };
      for (const { offset, blocks, hold: alone } of ranges) {
        if (alone) waiting.push(hold(drive, offset * 512, blocks * 512));
        else requests.push(writeZeroes(drive, offset * 512, blocks * 512));
        turn();
      }
      while (turn());
      expect(requests.every((request) => request.ended)).toBe(true);
      expect([waiting.length, drive.inFlight]).toEqual([0, 0]);
    }),
  );
});
