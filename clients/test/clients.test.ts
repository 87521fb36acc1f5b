// Programs that nobody here wrote, on a modslab heap, with results that are known; and on their own allocator, so that a
// failure tells whose it is. Skipped where they are not compiled (npm run clients:build).
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ALLOCATORS, skipUnlessBuilt } from '#src/build.js';
import { start } from '#src/instance.js';
import { runThreads } from '#src/threads.js';
import { realFile, runZstd, WORKLOADS } from '#src/workloads.js';

for (const program of Object.keys(WORKLOADS) as (keyof typeof WORKLOADS)[]) {
  describe(program, { skip: skipUnlessBuilt(program) }, () => {
    for (const allocator of ALLOCATORS) {
      test(`does its work on ${allocator}`, () => {
        const running = start(program, allocator);
        WORKLOADS[program](running, 1);
        assert.deepEqual(running.errors, []);
        const { heap } = running;
        if (heap === undefined) return;
        assert.deepEqual(heap.validate(), []);
        assert.ok(running.memoryUse().peak > 2 ** 20, 'its memory was the heap’s');
        // What a program keeps for good: its C library's buffers, at most.
        assert.ok(heap.meminfo().live < 100_000, `${heap.meminfo().live} bytes are live`);
      });
    }
  });
}

test('zstd compresses a file to the same bytes on both', { skip: skipUnlessBuilt('zstd') }, () => {
  const file = realFile(300_000);
  const [ours, theirs] = ALLOCATORS.map((allocator) => runZstd(start('zstd', allocator), file, [5]));
  assert.deepEqual(ours, theirs);
});

test('a program without memory is told so, and ends in order', { skip: skipUnlessBuilt('lua') }, () => {
  const lua = start('lua', 'modslab', 32 * 2 ** 20);
  const script = lua.put('local t = {} for i = 1, 1e9 do t[i] = ("x"):rep(1 << 16) .. i end');
  assert.notEqual(lua.exports.run(script), 0);
  assert.match(lua.output(), /not enough memory/);
  lua.exports.release(script);
  assert.deepEqual(lua.errors, []);
  assert.deepEqual(lua.heap?.validate(), []);
  assert.ok((lua.heap?.meminfo().live ?? 0) < 100_000);
});

describe('threads', { skip: skipUnlessBuilt('threads') }, () => {
  for (const allocator of ALLOCATORS) {
    test(`four threads swap blocks on ${allocator}`, async () => {
      const result = await runThreads(allocator, 4, 30_000);
      assert.equal(result.corrupted, 0);
      assert.deepEqual(result.errors, []);
      assert.ok(result.foreignFrees > 0);
      assert.equal(result.live, 0);
    });
  }
});
