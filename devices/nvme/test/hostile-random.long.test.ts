import { unlimited } from '@sidecard/block';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { hostileAction, limitsAction } from './hostile-actions.ts';
import { HostileScene } from './hostile-scene.ts';
import { ways } from './machine.ts';

/** Of each kind of memory. */
const cases = Number(process.env.SIDECARD_CASES ?? 1000);

/** Anything, in any order: a status or CSTS.CFS, nothing outside of the maps is touched, and a driver that behaves has its disk again. */
test.each(ways)(
  'random hostile drivers, %s memory',
  async (way) => {
    let actions = 0;
    const property = fc.asyncProperty(
      fc.array(fc.oneof({ weight: 20, arbitrary: hostileAction }, limitsAction), {
        minLength: 1,
        maxLength: 40,
        size: '+1',
      }),
      fc.boolean(),
      async (list, isLimited) => {
        const scene = new HostileScene(way);
        const { native, client, server, controller } = scene.machine;
        await scene.start();
        // Then all but the first that is right waits.
        if (isLimited) controller.namespaces.allocated(1)!.setLimits({ iops: 1, bytesPerSecond: null });
        for (const one of list) await one.act(scene);
        actions += list.length;
        controller.namespaces.allocated(1)?.setLimits(unlimited);
        await scene.recovers();
        expect(controller.processor.waitingRoom.count).toBe(0);
        // Everything of the client goes with it.
        client.close();
        server.settle();
        expect(native.mappings).toBe(scene.ownMappings);
      },
    );
    await fc.assert(property, { numRuns: cases });
    expect(actions).toBeGreaterThan(5 * cases);
  },
  300_000,
);
