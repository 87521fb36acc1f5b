// Bitmaps in shared words, against a plain Set of bit numbers.
import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import {
  clearBit,
  clearRange,
  countSet,
  hasBit,
  nextClear,
  nextSet,
  setBit,
  setRange,
} from '#src/memory/bitmap.js';

const BITS = 200;
/** Words before and behind the bitmap that no operation may touch. */
const GUARD = 3;
const WORDS = Math.ceil(BITS / 32);

type Step = { op: 'setBit' | 'clearBit' | 'setRange' | 'clearRange'; from: number; to: number };

const step = fc.record<Step>({
  op: fc.constantFrom('setBit', 'clearBit', 'setRange', 'clearRange'),
  from: fc.nat(BITS - 1),
  to: fc.nat(BITS),
});

function apply(m: Int32Array, model: Set<number>, { op, from, to }: Step): void {
  if (op === 'setBit') setBit(m, GUARD, from);
  else if (op === 'clearBit') clearBit(m, GUARD, from);
  else if (op === 'setRange') setRange(m, GUARD, from, to);
  else clearRange(m, GUARD, from, to);
  const end = op === 'setBit' || op === 'clearBit' ? from + 1 : to;
  for (let bit = from; bit < end; bit++) {
    if (op === 'setBit' || op === 'setRange') model.add(bit);
    else model.delete(bit);
  }
}

function naiveNext(model: Set<number>, from: number, end: number, wanted: boolean): number {
  for (let bit = from; bit < end; bit++) if (model.has(bit) === wanted) return bit;
  return end;
}

test('any sequence of changes leaves exactly the bits that a Set would have', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), fc.nat(BITS), fc.nat(BITS), (steps, from, end) => {
      const m = new Int32Array(new SharedArrayBuffer((WORDS + 2 * GUARD) * 4));
      m.fill(0x5a5a5a5a, 0, GUARD).fill(0x5a5a5a5a, GUARD + WORDS);
      const model = new Set<number>();
      for (const each of steps) apply(m, model, each);
      for (let bit = 0; bit < BITS; bit++) assert.equal(hasBit(m, GUARD, bit), model.has(bit));
      const inside = [...model].filter((bit) => bit >= from && bit < end);
      assert.equal(countSet(m, GUARD, from, end), inside.length);
      assert.equal(nextSet(m, GUARD, from, end), from < end ? naiveNext(model, from, end, true) : end);
      assert.equal(nextClear(m, GUARD, from, end), from < end ? naiveNext(model, from, end, false) : end);
      assert.ok(m.subarray(0, GUARD).every((word) => word === 0x5a5a5a5a));
      assert.ok(m.subarray(GUARD + WORDS).every((word) => word === 0x5a5a5a5a));
    }),
    { numRuns: 400 },
  );
});

test('a search that meets a word boundary finds the bit on either side of it', () => {
  const m = new Int32Array(4);
  for (const bit of [0, 31, 32, 63, 64, 95]) {
    m.fill(0);
    setBit(m, 0, bit);
    assert.equal(nextSet(m, 0, 0, 96), bit);
    assert.equal(nextSet(m, 0, bit, 96), bit);
    assert.equal(nextSet(m, 0, bit + 1, 96), 96);
    assert.equal(nextSet(m, 0, 0, bit), bit, 'a bit at the end is not inside');
    m.fill(-1);
    clearBit(m, 0, bit);
    assert.equal(nextClear(m, 0, 0, 96), bit);
    assert.equal(nextClear(m, 0, bit + 1, 96), 96);
  }
});

test('a range of whole words is set and cleared whole', () => {
  const m = new Int32Array(4);
  setRange(m, 0, 32, 96);
  assert.deepEqual([...m], [0, -1, -1, 0]);
  clearRange(m, 0, 33, 95);
  assert.deepEqual([...m], [0, 1, -0x80000000, 0]);
  setRange(m, 0, 5, 5);
  assert.deepEqual([...m], [0, 1, -0x80000000, 0], 'an empty range changes nothing');
});
