/**
 * Measuring in nanoseconds, side by side: contestants take turns, round by round, and the best round of each counts: the
 * machine's other work only ever adds.
 */

/** One contestant: runs so many operations; returns something that depends on all of them. */
export interface Contestant {
  readonly name: string;
  run(operations: number): number;
}

/** Rounds before any counts, so that the engine's highest tier is reached. */
const WARM_UPS = 40;

/** Nanoseconds an operation in the best round, by contestant. */
export function timeSideBySide(
  contestants: readonly Contestant[],
  operations: number,
  rounds: number,
): Map<string, number> {
  const times = new Map(contestants.map(({ name }): [string, number[]] => [name, []]));
  let sink = 0;
  for (const { run } of contestants) for (let i = 0; i < WARM_UPS; i++) sink += run(operations);
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < contestants.length; i++) {
      const { name, run } = contestants[(i + round) % contestants.length];
      const start = performance.now();
      sink += run(operations);
      times.get(name)?.push(((performance.now() - start) * 1e6) / operations);
    }
  }
  if (Number.isNaN(sink)) throw new Error('a contestant computed nonsense');
  return new Map([...times].map(([name, all]) => [name, Math.min(...all)]));
}

/**
 * A copy of a function with type feedback of its own: what the engine learns of one contestant then does not slow the
 * next. The function must not use anything but its arguments.
 */
export function copyOf<F extends (...args: never[]) => unknown>(fn: F): F {
  return new Function(`return (${fn.toString()})`)() as F;
}

/** Numbers that look random, the same each time. */
export function randomOrder(n: number, limit: number): Uint32Array {
  const numbers = new Uint32Array(n);
  let x = 0x9e3779b9;
  for (let i = 0; i < n; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    numbers[i] = (x >>> 0) % limit;
  }
  return numbers;
}
