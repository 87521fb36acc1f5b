/** What a page can tell of a heap that it has made. */

import { Heap } from 'modslab';

export interface Smoke {
  readonly isolated: boolean;
  readonly shared: boolean;
  readonly address: number;
  readonly problems: unknown[];
}

export function smoke(): Smoke {
  const heap = Heap.create();
  const address = heap.kmalloc(64);
  heap.kfree(address);
  return {
    isolated: (globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated === true,
    shared: heap.buffer instanceof SharedArrayBuffer,
    address,
    problems: heap.validate(),
  };
}
