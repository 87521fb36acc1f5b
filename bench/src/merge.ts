/**
 * What merging costs, `npm run bench:merge`: a pair of allocation and free through the handle of a cache, merged and not,
 * and the same freed by `kfree`. Best of many rounds, taking turns.
 */

import { Heap, type KmemCache } from 'modslab';

const OPERATIONS = 200_000;
const ROUNDS = 30;

type Pair = (cache: KmemCache, heap: Heap, n: number) => void;

const viaHandle: Pair = (cache, _heap, n) => {
  for (let i = 0; i < n; i++) cache.free(cache.alloc());
};
const viaKfree: Pair = (cache, heap, n) => {
  for (let i = 0; i < n; i++) heap.kfree(cache.alloc());
};

/** A copy with type feedback of its own. */
const copyOf = (fn: Pair): Pair => new Function(`return (${fn.toString()})`)() as Pair;

const contestants = [false, true].flatMap((merge) => {
  const heap = Heap.create({ merge, size: 2 ** 24, maxSize: 2 ** 24 });
  const cache = heap.createCache({ name: 'measured', size: 64 });
  const name = merge ? 'merged' : 'not merged';
  return [
    { name: `${name}: cache.alloc, cache.free`, cache, heap, run: copyOf(viaHandle), best: Number.MAX_VALUE },
    { name: `${name}: cache.alloc, kfree`, cache, heap, run: copyOf(viaKfree), best: Number.MAX_VALUE },
  ];
});

for (let round = 0; round < ROUNDS; round++) {
  for (const each of contestants) {
    const start = performance.now();
    each.run(each.cache, each.heap, OPERATIONS);
    each.best = Math.min(each.best, ((performance.now() - start) * 1e6) / OPERATIONS);
  }
}
for (const { name, best } of contestants) console.log(`${name}: ${best.toFixed(1)} ns`);
