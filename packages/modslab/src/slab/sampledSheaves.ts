/**
 * Sheaves for a heap that samples its allocations (kmalloc/kfence.ts): the same, but that an allocation comes to the slow path
 * when it is its turn. The fast paths are those of all sheaves; heaps that do not sample do not have this.
 *
 *     by count   taking a spare as main stands for as many allocations as it has objects: when enough of them have been
 *                made, it is refused, as if there were none
 *     by time    `gate` puts this CPU's hot words of a cache aside, so that its next allocation or free finds a cache that is not
 *                in use; every slow path puts them back first
 */

import type { Address } from './cacheSpec.ts';
import {
  EMPTY,
  FULL,
  HALF,
  HOT_SHIFT,
  HOT_WORDS,
  LIMIT,
  Sheaves,
  TOP,
  TOP_CLOSED,
  WAS_EMPTY,
} from './sheaves.ts';

export class SampledSheaves extends Sheaves {
  /** Allocations that are left until the next one is sampled. */
  left: number = Number.POSITIVE_INFINITY;
  /** Hot words of the caches that are gated, by their place. */
  private readonly gated: Map<number, Int32Array> = new Map();

  override popSpare(slot: number): Address {
    if (this.left <= 0) return 0;
    const address = super.popSpare(slot);
    if (address !== 0) this.left -= this.mainCount(slot) + 1;
    return address;
  }

  /** Makes the next allocation or free of the cache on this CPU come to the slow path. */
  gate(cache: number): void {
    const { hot, gated } = this;
    const slot = cache << HOT_SHIFT;
    if (hot[slot | LIMIT] === 0 || gated.has(slot)) return;
    gated.set(slot, hot.slice(slot, slot + HOT_WORDS));
    hot[slot | TOP] = TOP_CLOSED;
    hot[slot | FULL] = 0;
    hot[slot | EMPTY] = 0;
    hot[slot | HALF] = WAS_EMPTY;
  }

  override enterSlowPath(): void {
    this.ungate();
    super.enterSlowPath();
  }

  override close(cache: number): void {
    this.ungate();
    super.close(cache);
  }

  private ungate(): void {
    if (this.gated.size === 0) return;
    for (const [slot, words] of this.gated) this.hot.set(words, slot);
    this.gated.clear();
  }
}
