/**
 * `npm run bench:rcu`: what RCU and vmalloc cost, in ns an operation, the least of many short rounds.
 *
 *     read section    rcuReadLock and rcuReadUnlock, outermost; nested: within another one
 *     kfreeRcu        kmalloc and kfreeRcu of 64 bytes, all that frees them included; beside kmalloc and kfree
 *     area.readU32    a word of a vmalloc area, all checks included
 *     …ToPage         an address to its PageInfo: by one shift and a scaled add, by a walk of the page table
 */

import { Heap } from 'modslab';

const ROUNDS = 300;
const OPERATIONS = 20_000;

/** The least time of an operation, over all rounds. */
function least(round: (operations: number) => number): number {
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < ROUNDS; i++) {
    const start = performance.now();
    round(OPERATIONS);
    best = Math.min(best, performance.now() - start);
  }
  return (best * 1e6) / OPERATIONS;
}

const heap = Heap.create({ size: 64 << 20, maxSize: 64 << 20, pageSize: 4096 });
const area = heap.vmalloc(1 << 20);
if (area === null) throw new Error('no memory for an area');

const rows: Record<string, number> = {
  'read section': least((n) => {
    for (let i = 0; i < n; i++) {
      heap.rcuReadLock();
      heap.rcuReadUnlock();
    }
    return n;
  }),
  'read section, nested': least((n) => {
    heap.rcuReadLock();
    for (let i = 0; i < n; i++) {
      heap.rcuReadLock();
      heap.rcuReadUnlock();
    }
    heap.rcuReadUnlock();
    return n;
  }),
  'kmalloc, kfree': least((n) => {
    for (let i = 0; i < n; i++) heap.kfree(heap.kmalloc(64));
    return n;
  }),
  'kmalloc, kfreeRcu': least((n) => {
    for (let i = 0; i < n; i++) heap.kfreeRcu(heap.kmalloc(64));
    return n;
  }),
  'area.readU32': least((n) => {
    let sum = 0;
    for (let i = 0; i < n; i++) sum += area.readU32((i * 4096) & 0xffffc);
    return sum;
  }),
  virtToPage: least((n) => {
    let sum = 0;
    for (let i = 0; i < n; i++) sum += heap.virtToPage(4096 + ((i * 4096) & 0xfffff)).pfn;
    return sum;
  }),
  vmallocToPage: least((n) => {
    let sum = 0;
    for (let i = 0; i < n; i++) sum += heap.vmallocToPage(area.addr + ((i * 4096) & 0xfffff)).pfn;
    return sum;
  }),
};
for (const [name, ns] of Object.entries(rows))
  console.log(`${name.padEnd(24)}${ns.toFixed(1).padStart(8)} ns`);
heap.vfree(area);
heap.detach();
