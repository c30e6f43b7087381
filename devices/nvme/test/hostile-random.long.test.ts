import fc from 'fast-check';
import { expect, test } from 'vitest';
import { hostileAction } from './hostile-actions.ts';
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
      fc.array(hostileAction, { minLength: 1, maxLength: 40, size: '+1' }),
      fc.boolean(),
      async (list, isLimited) => {
        const scene = new HostileScene(way);
        const { native, client, server } = scene.machine;
        await scene.start();
        // Then all but the first that is right waits.
        if (isLimited) scene.machine.controller.namespaces.allocated(1)!.setLimits({ iops: 1, bytesPerSecond: null });
        for (const one of list) await one.act(scene);
        actions += list.length;
        await scene.recovers();
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
