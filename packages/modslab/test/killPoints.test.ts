/**
 * The list of kill points is that of the sources; that a thread is killed at each of them is tested in threads-stall (all
 * of them, on real threads) and in explore (all of the core, at every step between them too).
 */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { KmemCache } from 'modslab';
import { KILL_POINTS } from 'modslab/debug';
import { packageRoot } from './explore/transform.ts';
import { killAtEach } from './support/killEach.ts';
import { skipUnlessChecked } from './support/killpoints.ts';

/** The names in all calls of `killPoint`, in the order of the files. */
function namesInSources(): string[] {
  const src = join(packageRoot, 'src');
  return readdirSync(src, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .flatMap((file) => [...readFileSync(join(src, file), 'utf8').matchAll(/\bkillPoint\(([^)]*)\)/g)])
    .map(([, argument]) => argument)
    .filter((argument) => argument !== 'name: string')
    .map((argument) => {
      const [, name] = /^'([^']+)'$/.exec(argument) ?? [];
      assert.ok(name !== undefined, `killPoint(${argument}): a kill point is named by a literal`);
      return name;
    });
}

test('KILL_POINTS lists the kill points of the sources, each once', () => {
  assert.deepEqual([...KILL_POINTS].sort(), [...new Set(namesInSources())].sort());
  assert.equal(new Set(KILL_POINTS).size, KILL_POINTS.length);
});

test('a new slab whose maker dies while it constructs or lets go of it', { skip: skipUnlessChecked }, () => {
  const ctor = (): void => undefined;
  const points = killAtEach<KmemCache>({
    prepare: (heap, victim) => {
      heap.createCache({ name: 'constructed', size: 200, ctor });
      return victim.cache('constructed', { ctor });
    },
    act: (cache) => void cache.alloc(),
    after: (_, heap) => {
      const cache = heap.cache('constructed', { ctor });
      for (const address of [...cache.objects()]) cache.free(address);
      cache.destroy();
      assert.equal(heap.shrink() >= 0 && heap.meminfo().footprint, 0);
    },
  });
  assert.ok(points.has('slab.before-constructor') && points.has('slab.partial-bit'));
});

test('a full sheaf whose owner dies while it splits it', { skip: skipUnlessChecked }, () => {
  const objects = 130;
  const points = killAtEach<{ cache: KmemCache; addresses: number[]; freed: number }>({
    prepare: (heap, victim) => {
      const cache = heap.createCache({ name: 'halved', size: 64 });
      const addresses = Array.from({ length: objects }, () => cache.alloc());
      return { cache: victim.cache('halved'), addresses, freed: 0 };
    },
    act: (scene) => {
      for (const address of scene.addresses) {
        scene.cache.free(address);
        scene.freed++;
      }
    },
    after: ({ freed }, heap) => {
      const cache = heap.cache('halved');
      const live = [...cache.objects()];
      // Of the one that was being freed, either is right.
      assert.ok(
        live.length === objects - freed || live.length === objects - freed - 1,
        `${live.length} live`,
      );
      // Nobody gets one that another has.
      const more = Array.from({ length: objects }, () => cache.alloc());
      assert.equal(new Set([...live, ...more]).size, live.length + objects);
      cache.freeBulk(Uint32Array.from([...live, ...more]));
      cache.destroy();
    },
  });
  for (const point of ['sheaf.splitting', 'sheaf.split', 'sheaf.split-cleared'])
    assert.ok(points.has(point), point);
});
