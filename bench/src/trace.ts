/**
 * V8's deoptimisation trace, with the marks that a contestant's process writes into it around each round.
 *
 * A line that counts:   [bailout (kind: deopt-eager, reason: wrong map): begin. deoptimizing 0x…, <JSFunction f (sfi = …)>, …]
 */

export const ROUND_BEGINS = '[modslab bench: round begins]';
export const ROUND_ENDS = '[modslab bench: round ends]';

/** The harness's own function around the loops: V8 may leave it when a round ends, which is not modslab's affair. */
const HARNESS = 'timed';

export interface Deopt {
  readonly kind: string;
  readonly reason: string;
  readonly where: string;
}

/** The deoptimisations between the marks of a trace. */
export function deoptsInRounds(trace: string): Deopt[] {
  const found: Deopt[] = [];
  let inRound = false;
  for (const line of trace.split('\n')) {
    if (line === ROUND_BEGINS) inRound = true;
    else if (line === ROUND_ENDS) inRound = false;
    else if (inRound) {
      const match =
        /^\[bailout \(kind: ([^,]*), reason: (.*)\): begin\. deoptimizing .*?<JSFunction ?(.*?) ?\(sfi/.exec(
          line,
        );
      if (match !== null)
        found.push({ kind: match[1] ?? '', reason: match[2] ?? '', where: match[3] || '(anonymous)' });
    }
  }
  return found.filter((deopt) => deopt.where !== HARNESS);
}
