// test_meminit (Linux, lib/test_meminit.c), from its description: memory that was used and freed comes back as zeros, with
// init_on_alloc (`I`) and with init_on_free (`W`); constructed objects keep their bytes, objects of TYPESAFE_BY_RCU caches too.
import assert from 'node:assert/strict';
import test from 'node:test';
import { GFP, type Heap, SLAB } from 'modslab';
import { assertSound, MIB, smallHeap } from '../support/heap.js';

const GARBAGE = 0x09;
const isZero = (heap: Heap, address: number, bytes: number): boolean =>
  heap.view(address, bytes).every((byte) => byte === 0);
const meminitHeap = (debug: string): Heap => smallHeap({ debug, size: 8 * MIB, maxSize: 16 * MIB });

for (const debug of ['I', 'W', 'IZ']) {
  test(`${debug}: kmalloc of all sizes, after garbage`, () => {
    const heap = meminitHeap(debug);
    for (let shift = 0; shift < 20; shift++) {
      for (const size of [2 ** shift, 2 ** shift + 1]) {
        const address = heap.kmalloc(size, GFP.ZERO);
        assert.ok(isZero(heap, address, size));
        heap.u8.fill(GARBAGE, address, address + size);
        heap.kfree(address);
        if (heap.virtToPage(address).cache === undefined) continue;
        const again = heap.kmalloc(size);
        assert.ok(isZero(heap, again, size), `${size} bytes`);
        heap.kfree(again);
      }
    }
    assertSound(heap);
  });

  test(`${debug}: caches of all sizes, with and without constructor, RCU, and zeros asked for`, () => {
    const heap = meminitHeap(debug);
    for (let size = 8; size <= 4096; size *= 2) {
      for (const [ctor, rcu, zero] of [0, 1, 2, 3, 4, 5].map((bits) => [bits & 1, bits & 2, bits & 4])) {
        const template = Uint8Array.of(0xca, 0xfe, 0xba, 0xbe);
        const flags = SLAB.NO_MERGE | (rcu !== 0 ? SLAB.TYPESAFE_BY_RCU : 0);
        if (ctor !== 0 && zero !== 0) continue;
        const cache = heap.createCache({
          name: 'meminit',
          size,
          flags,
          ...(ctor !== 0 && { ctor: template }),
        });
        for (let round = 0; round < 5; round++) {
          const address = cache.alloc(zero !== 0 ? GFP.ZERO : 0);
          const label = `size ${size} ctor ${ctor} rcu ${rcu} zero ${zero} round ${round}`;
          if (ctor !== 0) assert.deepEqual(heap.view(address, 4), template, label);
          else if (zero !== 0 || rcu === 0) assert.ok(isZero(heap, address, size), label);
          else if (round > 0) assert.equal(heap.u8[address], GARBAGE, label);
          if (ctor === 0) heap.u8.fill(GARBAGE, address, address + size);
          else heap.u8.fill(GARBAGE, address + 4, address + size);
          cache.free(address);
          if (rcu !== 0)
            assert.equal(heap.u8[address + size - 1], GARBAGE, 'a free leaves it to its readers');
        }
        heap.shrink();
        cache.destroy();
      }
    }
    assertSound(heap);
  });

  test(`${debug}: bulks of 100`, () => {
    const heap = meminitHeap(debug);
    const cache = heap.createCache({ name: 'bulk', size: 128 });
    const out = new Uint32Array(100);
    for (let round = 0; round < 10; round++) {
      assert.equal(cache.allocBulk(out), 100);
      for (const address of out) {
        assert.ok(isZero(heap, address, 128));
        heap.u8.fill(GARBAGE, address, address + 128);
      }
      cache.freeBulk(out);
    }
    assertSound(heap);
  });
}
