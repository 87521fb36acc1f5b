/**
 * The NUMA slab (MODSLAB V1, 2006): allocations that name no node go where a policy says.
 *
 * In 2006 it kept one Slabifier cache a node, created at first use. Here a node's part of a cache's partial bitmap is that
 * cache: a slab lies in one node's window as a whole, and a search for objects of a node looks at its window alone. So the
 * derivation adds the policy, and nothing else.
 *
 *     local        this CPU's node, then the others
 *     preferred    that node, then the others
 *     bind         those nodes only, in the order given; none of them has memory: 0
 *     interleave   those nodes in turn, one for each call; then the others
 *
 * A call of sheaves for a refill counts as one: over it, `interleave` spreads sheaves, not single objects. A cache created
 * with `SLAB.MEM_SPREAD` is interleaved over all nodes whatever the policy ("cache spread"). A node that the caller names
 * (`allocNode`) always has the last word.
 */

import { checkInteger, invalid } from '../memory/errors.ts';
import { GFP, type GfpFlags } from '../memory/gfp.ts';
import { C_FLAGS, cacheAt } from '../memory/layout.ts';
import { NODE_ANY } from '../page/pageAllocator.ts';
import { DerivedSlabAllocator } from './deriveSlabAllocator.ts';
import { SLAB, SLAB_OWN_ALLOCATOR } from './flags.ts';
import type { Address, CacheSpec, SlabAllocator } from './slabAllocator.ts';
import { refuseStack } from './stack.ts';

/** Where allocations that name no node go. `nodes`: which; one for `preferred`, none for `local`. */
export interface NumaPolicy {
  readonly policy: 'local' | 'preferred' | 'bind' | 'interleave';
  readonly nodes?: readonly number[];
}

export class NumaSlab extends DerivedSlabAllocator {
  private readonly policy: NumaPolicy['policy'];
  private readonly nodes: readonly number[];
  private readonly all: readonly number[];
  private turn = 0;

  constructor(base: SlabAllocator, policy: NumaPolicy['policy'], nodes: readonly number[]) {
    super(base, 'numa');
    this.policy = policy;
    this.nodes = nodes;
    this.all = Array.from({ length: base.frames.metadata.layout.nodes }, (_, node) => node);
  }

  override create(spec: CacheSpec): number {
    return super.create({ ...spec, flags: spec.flags | SLAB_OWN_ALLOCATOR });
  }

  override alloc(cache: number, gfp: GfpFlags): Address {
    return this.allocNode(cache, gfp, NODE_ANY);
  }

  override allocNode(cache: number, gfp: GfpFlags, asked: number): Address {
    if (asked !== NODE_ANY) return this.base.allocNode(cache, gfp, asked);
    for (const node of this.choose(cache)) {
      const address = this.base.allocNode(cache, this.gfpFor(cache, gfp), node);
      if (address !== 0) return address;
    }
    return 0;
  }

  override fill(
    cache: number,
    sheaf: number,
    have: number,
    want: number,
    gfp: GfpFlags,
    asked: number,
  ): number {
    if (asked !== NODE_ANY) return this.base.fill(cache, sheaf, have, want, gfp, asked);
    let n = have;
    for (const node of [...this.choose(cache), ...this.fallBack(cache, gfp)]) {
      if (n < want) n = this.base.fill(cache, sheaf, n, want, gfp | GFP.THISNODE, node);
    }
    return n;
  }

  override construct(cache: number, gfp: GfpFlags, asked: number): boolean {
    if (asked !== NODE_ANY) return this.base.construct(cache, gfp, asked);
    return this.choose(cache).some((node) => this.base.construct(cache, this.gfpFor(cache, gfp), node));
  }

  /** Nodes to try, the first one first. */
  private choose(cache: number): readonly number[] {
    const { m, layout } = this.frames.metadata;
    if ((m[cacheAt(layout, cache) + C_FLAGS] & SLAB.MEM_SPREAD) !== 0) return [this.next(this.all)];
    if (this.policy === 'local') return [this.frames.cpu.node];
    return this.policy === 'interleave' ? [this.next(this.nodes)] : this.nodes;
  }

  private next(nodes: readonly number[]): number {
    this.turn = (this.turn + 1) % nodes.length;
    return nodes[this.turn];
  }

  private isBound(cache: number): boolean {
    const { m, layout } = this.frames.metadata;
    return this.policy === 'bind' && (m[cacheAt(layout, cache) + C_FLAGS] & SLAB.MEM_SPREAD) === 0;
  }

  private gfpFor(cache: number, gfp: GfpFlags): GfpFlags {
    return this.isBound(cache) ? gfp | GFP.THISNODE : gfp;
  }

  /** Where a refill goes on when the chosen node has no memory. */
  private fallBack(cache: number, gfp: GfpFlags): readonly number[] {
    return this.isBound(cache) || (gfp & GFP.THISNODE) !== 0 ? [] : this.all;
  }
}

function checkPolicy({ policy, nodes = [] }: NumaPolicy, nodeCount: number): void {
  if (!['local', 'preferred', 'bind', 'interleave'].includes(policy))
    invalid(`there is no policy '${String(policy)}': local, preferred, bind or interleave`);
  for (const node of nodes) checkInteger('a node', node, 0, nodeCount - 1);
  if (policy === 'local' && nodes.length > 0) invalid('the policy local takes no nodes');
  if (policy === 'preferred' && nodes.length !== 1) invalid('the policy preferred takes one node');
  if (policy === 'bind' && nodes.length === 0) invalid('the policy bind takes at least one node');
}

/** Throws `EINVAL` for a policy that cannot be meant, and over an allocator that passes by it or has one already. */
export function numaSlab(base: SlabAllocator, options: NumaPolicy = { policy: 'local' }): NumaSlab {
  const { layout } = base.frames.metadata;
  checkPolicy(options, layout.nodes);
  refuseStack('numa', base, {
    numa: 'the inner one would have the last word',
    sheaved: 'it would pass the sheaves by: put sheaved over numa',
    kmalloc: "kmalloc's caches are everybody's, and have no policy",
  });
  const { policy, nodes = [] } = options;
  const all = Array.from({ length: layout.nodes }, (_, node) => node);
  return new NumaSlab(base, policy, policy === 'interleave' && nodes.length === 0 ? all : nodes);
}
