// KASAN's portable cases, and mimalloc-bench's security programs: what is caught, at least.
import assert from 'node:assert/strict';
import test from 'node:test';
import { KASAN, MODES, type Mode, type Moment, momentOf, SECURITY, SECURITY_SIZES } from './memoryBugs.js';

const [PLAIN, , FZPU, CHECKED] = MODES;
const missed = (mode: Mode, bugs: typeof KASAN, size = 0): string[] =>
  bugs.filter((bug) => momentOf(bug, mode, size) === 'missed').map(({ name }) => name);

test('there are as many programs as in the suites', () => {
  assert.equal(SECURITY.length, 37);
  assert.equal(new Set(SECURITY.map(({ name }) => name)).size, 37);
});

test('KASAN: with checked access and FZPUGQ every case is caught', () => {
  assert.deepEqual(missed(CHECKED, KASAN), []);
});

test('KASAN: FZPU misses reads, and writes to what somebody else has by now', () => {
  assert.deepEqual(missed(FZPU, KASAN), [
    'kmalloc_large_uaf',
    'kmalloc_uaf_16',
    'kmalloc_uaf2',
    'kmem_cache_rcu_uaf',
  ]);
});

test('KASAN: every wrong free is refused in the default mode', () => {
  const frees = KASAN.filter(({ name }) => /free|destroy|krealloc_uaf|ksize_uaf/.test(name));
  assert.deepEqual(missed(PLAIN, frees), []);
});

test('security: wrong frees never pass, in the default mode, at any size', () => {
  const frees = SECURITY.filter(({ name }) => /^(double_free|invalid_free|impossibly)/.test(name));
  for (const size of SECURITY_SIZES) {
    const through = missed(PLAIN, frees, size);
    // An object that was allocated anew in between is a live one: whose, nobody can tell from its address.
    assert.deepEqual(
      through.filter((name) => !/reuse/.test(name)),
      [],
    );
  }
});

test('security: with FZPU, overflows and writes to freed objects are caught at sizes of slabs', () => {
  const caught: Moment[] = ['free', 'alloc', 'validate'];
  const writes = SECURITY.filter(({ name }) =>
    /^(one_byte|32_byte|one_mbyte_memcpy|write_after_free)/.test(name),
  );
  for (const size of [8]) {
    for (const bug of writes) assert.ok(caught.includes(momentOf(bug, FZPU, size)), `${bug.name} ${size}`);
  }
});
