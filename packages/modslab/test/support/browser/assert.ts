/** node:assert/strict for browsers, as far as the support modules use it. */

function fail(message: string): never {
  throw new Error(message);
}

function ok(value: unknown, message = 'not true'): asserts value {
  if (!value) fail(message);
}

function equal(actual: unknown, expected: unknown, message = 'not equal'): void {
  if (!Object.is(actual, expected)) fail(`${message}: ${String(actual)}, expected ${String(expected)}`);
}

/** For plain data: compares what JSON makes of it. */
function deepEqual(actual: unknown, expected: unknown, message = 'not equal'): void {
  const [found, wanted] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (found !== wanted) fail(`${message}: ${found}, expected ${wanted}`);
}

export default { deepEqual, equal, fail, ok };
