// AssemblyScript's own compiler and standard library on modslab's runtime. Skipped where the program is not compiled.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Heap } from 'modslab';
import { assemblyScriptImports, heapBaseOf } from 'modslab/wasm';
import { assemblyScriptBytes, skipUnlessAssemblyScript } from '#src/build.js';

test('classes, arrays, strings and maps live in the heap', { skip: skipUnlessAssemblyScript() }, () => {
  const bytes = assemblyScriptBytes();
  const memory = new WebAssembly.Memory({ initial: 4, maximum: 256, shared: true });
  const heap = Heap.create({ memory, start: heapBaseOf(bytes), maxSize: 8 * 2 ** 20 });
  const errors: string[] = [];
  const modslab = assemblyScriptImports(heap, { onError: (error) => errors.push(error.message) });
  const abort = (): never => assert.fail('the program has aborted');
  const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), {
    env: { memory, abort },
    modslab,
  });
  const program = instance.exports as Record<string, (n: number) => number>;
  const n = 20_000;
  assert.equal(program.addUpPoints(n), (3 * n * (n - 1)) / 2);
  const afterPoints = heap.meminfo().live;
  assert.ok(
    afterPoints < 2 ** 20,
    'the points are deleted: only the array is left, in the steps that it grew by',
  );
  assert.equal(program.lengthByMap(100), 290);
  assert.ok(heap.meminfo().live > afterPoints);
  assert.deepEqual(errors, []);
  assert.deepEqual(heap.validate(), []);
});
