/**
 * Assertions, kill points and fail points: statements for the checked build only.
 *
 * Calls of `assert` and `killPoint`, and `if (failPoint(…)) …`, are removed, as whole statements, from the release build
 * (scripts/build.mjs), so an argument of theirs must have no effect of its own. A kill point names an instant inside a
 * multi-step operation at which the thread may die; a test stops or kills a thread there through the hook. A fail point
 * names a request that can fail for want of something; a test makes it fail.
 */

/** Every instant inside a multi-step operation at which a test may stop a thread for good, by name. */
export const KILL_POINTS: readonly string[] = [
  'frames.claimed-some',
  'frames.claimed-all',
  'frames.bits-cleared',
  'frames.release-begun',
  'frames.tail-released',
  'frames.bits-set',
  'memory.grown',
  'rcu.reading',
  'rcu.begun',
  'deferred.described',
  'deferred.bit-set',
  'deferred.claimed',
  'waiting.deferred',
  'waiting.collecting',
  'vmalloc.claimed-some',
  'vmalloc.described',
  'vmalloc.entered',
  'vmalloc.claimed',
  'vmalloc.frame-claimed',
  'vmalloc.entry-freed',
  'slab.described',
  'slab.published',
  'slab.before-constructor',
  'slab.claimed',
  'slab.taking',
  'slab.taken',
  'slab.partial-bit',
  'slab.putting',
  'slab.put',
  'slab.pending-marked',
  'slab.pending-flagged',
  'slab.pending-entry',
  'slab.collecting',
  'slab.shrinking',
  'slab.park-slot',
  'slab.unparked',
  'slab.unpublished',
  'slob.named',
  'slob.headed',
  'slob.taken',
  'slob.shortened',
  'sheaf.opening',
  'sheaf.claimed',
  'sheaf.splitting',
  'sheaf.split',
  'sheaf.split-cleared',
  'barn.taken',
  'barn.put-bit',
  'large.claimed',
  'cache.created-slot',
  'cache.candidate',
  'cache.dying',
  'cpu.attached',
  'cpu.leaving',
  'link.marked',
  'link.taken',
  'link.published',
  'link.unlinked',
  'charge.intended',
  'charge.charged',
  'charge.object-taken',
  'charge.run-taken',
  'charge.run-published',
  'charge.settled',
  'charge.free-intended',
  'charge.free-decided',
  'charge.uncharged',
  'group.created-slot',
  'group.candidate',
  'group.adopting',
  'group.adopted',
  'group.dying',
  'group.completing',
  'group.slab-emptied',
  'group.released',
  'slab.frozen',
  'reap.claimed',
  'reap.intents-settled',
  'reap.entries-dropped',
  'reap.slabs-given-up',
  'reap.sheaves-flushed',
  'hazards.filled',
  'hazards.linked',
  'hazards.burying',
  'hazards.marked',
  'hazards.mourned',
  'hazards.retiring',
  'hazards.retired',
  'hazards.freeing',
  'hazards.unlisted',
  'hazards.recovering',
  'map.taken-out',
  'map.sentinel',
  'map.segment',
  'vector.claimed',
  'vector.written',
];

/** Every request that a test may make fail, by name. */
export const FAIL_POINTS: readonly string[] = ['page', 'growth', 'cache descriptor', 'sheaf', 'group'];

let hook: ((name: string) => void) | undefined;
let failHook: ((name: string) => boolean) | undefined;

/** Throws unless `condition` holds: a bug in modslab itself, never the caller's. */
export function assert(condition: boolean, message: string): void {
  if (!condition) throw new Error(`modslab: assertion failed: ${message}`);
}

/** Tells the test's hook, if there is one, that this thread stands at the instant `name`. */
export function killPoint(name: string): void {
  if (hook !== undefined) hook(name);
}

/** Sets or removes the hook that `killPoint` calls on this thread. For tests. */
export function setKillPointHook(fn: ((name: string) => void) | undefined): void {
  hook = fn;
}

/** Whether the test's hook, if there is one, wants this request to fail. Only as the whole condition of an `if`. */
export function failPoint(name: string): boolean {
  return failHook?.(name) === true;
}

/** Sets or removes the hook that `failPoint` asks on this thread. For tests. */
export function setFailPointHook(fn: ((name: string) => boolean) | undefined): void {
  failHook = fn;
}
