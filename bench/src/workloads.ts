/**
 * The workloads: names, what one operation is, and their parameters. `native/micro.c` holds the same constants.
 *
 * An operation is always one pair, an allocation and the free of an object, so that figures compare across workloads.
 */

export interface WorkloadInfo {
  readonly name: string;
  /** For the table's legend. */
  readonly what: string;
}

export const OBJECT_SIZE = 64;
/**
 * Pairs in one call of the pair loop: enough that the call itself costs nothing, few enough that V8 enters the optimised
 * function at its head: with 1,000, Node 24 goes through the interpreter and on-stack replacement at every call.
 */
export const PAIRS = 100;
export const BATCH = 1000;
export const CHURN_SLOTS = 8192;
/** Steps in one call of the churn loop; few, since a step can take an allocator 0.1 ms. */
export const CHURN_STEPS = 256;
export const BULK = 64;
/** Bulk calls in one call of the bulk loop. */
export const BULK_GROUPS = 16;
/** Batches under way between the two threads of "remote" before the allocating one has to wait. */
export const RING_BATCHES = 8;

export const WORKLOADS: readonly WorkloadInfo[] = [
  { name: 'pair', what: 'kmalloc(64), kfree' },
  { name: 'batch', what: '1,000 × kmalloc(64), then 1,000 × kfree in the same order' },
  {
    name: 'churn',
    what: '8,192 live objects of 16…1,024 B: a random one is freed, another size allocated in its place',
  },
  {
    name: 'bulk',
    what: 'kmallocBulk and kfreeBulk of 64 × 64 B; loops where an allocator has no bulk calls',
  },
  { name: 'remote', what: 'one thread allocates batches of 1,000 × 64 B, a second one frees them' },
];
