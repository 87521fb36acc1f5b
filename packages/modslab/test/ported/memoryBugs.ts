/**
 * Programs with a memory bug each, and at which moment the heap tells. Two lists, both re-implemented from their description:
 * the portable cases of KASAN's test (Linux, mm/kasan/kasan_test_c.c), and the 37 programs of mimalloc-bench's security suite,
 * each at three sizes. `tables.ts` prints them; memoryBugs.test.ts holds them to what docs/debugging.md says.
 *
 * A bug is caught
 *
 *     access     when the bytes are accessed (checked access only)
 *     free       when the object is freed, or freed wrongly
 *     alloc      when the place is allocated again
 *     validate   by heap.validate()
 *
 * or *prevented*: it was done, and did no harm to anything that anybody has. Else it is missed.
 */

import { GFP, Heap, SLAB } from 'modslab';

export type Moment = 'access' | 'free' | 'alloc' | 'validate' | 'prevented' | 'missed';

/** How a program is run: with which debug option, and through which access. */
export interface Mode {
  readonly name: string;
  readonly debug: string;
  readonly checked: boolean;
}

export const MODES: readonly Mode[] = [
  { name: 'default', debug: '', checked: false },
  { name: 'default, checked access', debug: '', checked: true },
  { name: 'FZPU', debug: 'FZPU', checked: false },
  { name: 'FZPUGQ, checked access', debug: 'FZPUGQ', checked: true },
];

/** What a program does is done through this, which notes what it is at. */
export class Program {
  readonly heap: Heap;
  /** What the program is doing. */
  doing: Moment = 'prevented';
  private readonly isChecked: boolean;
  private readonly objects: Map<number, ReturnType<Heap['checked']>> = new Map();

  constructor(mode: Mode) {
    const { debug } = mode;
    this.isChecked = mode.checked;
    this.heap = Heap.create({ debug });
    this.heap.onReport(() => {});
  }

  alloc(size: number, gfp = 0): number {
    this.doing = 'alloc';
    return this.known(this.heap.kmalloc(size, gfp));
  }

  realloc(address: number, size: number): number {
    this.doing = 'free';
    const moved = this.heap.krealloc(address, size);
    this.doing = 'prevented';
    return this.known(moved);
  }

  free(address: number): void {
    this.doing = 'free';
    this.heap.kfree(address);
    this.doing = 'prevented';
  }

  /** Runs a call that frees, of another kind. */
  frees(call: () => void): void {
    this.doing = 'free';
    call();
    this.doing = 'prevented';
  }

  /** An object that came from elsewhere. */
  known(address: number): number {
    if (this.isChecked && address !== 0) this.objects.set(address, this.heap.checked(address));
    this.doing = 'prevented';
    return address;
  }

  write(address: number, offset: number, length = 1, value = 0x41): void {
    this.doing = 'access';
    const object = this.objects.get(address);
    if (object !== undefined) object.fill(value, offset, length);
    else this.heap.u8.fill(value, Math.max(0, address + offset), Math.max(0, address + offset + length));
    this.doing = 'missed';
  }

  read(address: number, offset: number, length = 1): Uint8Array {
    this.doing = 'access';
    const object = this.objects.get(address);
    const bytes =
      object?.read(offset, length) ?? this.heap.u8.slice(address + offset, address + offset + length);
    this.doing = 'missed';
    return bytes;
  }

  /** Says that what was done does no harm. */
  harmless(): void {
    this.doing = 'prevented';
  }
}

export interface Bug {
  readonly name: string;
  run(program: Program, size: number): void;
}

/** Runs a program; when it was caught. */
export function momentOf(bug: Bug, mode: Mode, size: number): Moment {
  const program = new Program(mode);
  const { heap } = program;
  try {
    bug.run(program, size);
  } catch {
    return program.doing;
  }
  const outcome = program.doing;
  if (heap.reports > 0) return 'alloc';
  if (outcome !== 'prevented' && heap.validate().length > 0) return 'validate';
  return outcome;
}

const overflow =
  (distance: number): Bug['run'] =>
  (p, size) => {
    const others = [p.alloc(size), p.alloc(size), p.alloc(size)];
    p.write(others[1], size, distance);
    for (const address of others) p.free(address);
    p.doing = 'missed';
  };
const underflow =
  (distance: number): Bug['run'] =>
  (p, size) => {
    const others = [p.alloc(size), p.alloc(size), p.alloc(size)];
    p.write(others[1], -distance, distance);
    for (const address of others) p.free(address);
    p.doing = 'missed';
  };
/** One write at a distance, with nothing written in between. */
const stray =
  (offset: (size: number) => number): Bug['run'] =>
  (p, size) => {
    const others = [p.alloc(size), p.alloc(size), p.alloc(size)];
    p.write(others[1], offset(size));
    for (const address of others) p.free(address);
    p.doing = 'missed';
  };
const twice: Bug['run'] = (p, size) => {
  const address = p.alloc(size);
  p.free(address);
  p.free(address);
  p.doing = 'missed';
};
const freesAt =
  (offset: number): Bug['run'] =>
  (p, size) => {
    const address = p.alloc(size);
    p.free(address + offset);
    p.doing = 'missed';
  };

const MIB = 2 ** 20;

/** The 37 programs, by the names of their files. */
export const SECURITY: readonly Bug[] = [
  { name: 'one_byte_overflow', run: stray((size) => size) },
  { name: 'one_byte_underflow', run: stray(() => -1) },
  { name: 'one_byte_memcpy_overflow', run: overflow(1) },
  { name: 'one_byte_memcpy_underflow', run: underflow(1) },
  { name: '32_byte_overflow', run: stray((size) => size + 31) },
  { name: '32_byte_underflow', run: stray(() => -32) },
  { name: '32_byte_memcpy_overflow', run: overflow(32) },
  { name: '32_byte_memcpy_underflow', run: underflow(32) },
  { name: 'one_mbyte_overflow', run: stray((size) => size + MIB - 1) },
  { name: 'one_mbyte_underflow', run: stray(() => -MIB) },
  { name: 'one_mbyte_memcpy_overflow', run: overflow(MIB) },
  { name: 'one_mbyte_memcpy_underflow', run: underflow(MIB) },
  { name: 'double_free', run: twice },
  {
    name: 'double_free_interleaved',
    run: (p, size) => {
      const [a, b] = [p.alloc(size), p.alloc(size)];
      p.free(a);
      p.free(b);
      p.free(a);
      p.doing = 'missed';
    },
  },
  {
    name: 'double_free_delayed',
    run: (p, size) => {
      const address = p.alloc(size);
      p.free(address);
      for (let i = 0; i < 1024; i++) p.free(p.alloc(size));
      p.free(address);
      p.doing = 'missed';
    },
  },
  {
    name: 'double_free_reuse',
    run: (p, size) => {
      const first = p.alloc(size);
      p.free(first);
      const others = Array.from({ length: 3 }, () => p.alloc(size));
      p.free(first);
      p.doing = 'missed';
      for (const address of others) p.free(address);
    },
  },
  {
    name: 'double_free_single_reuse',
    run: (p, size) => {
      const first = p.alloc(size);
      p.free(first);
      const second = p.alloc(size);
      p.free(first);
      p.free(second);
      p.doing = 'missed';
    },
  },
  { name: 'invalid_free', run: (p) => p.free(0x1234_5678) },
  { name: 'invalid_free_alloca', run: (p) => p.free(64) },
  { name: 'invalid_free_stack', run: (p) => p.free(8) },
  { name: 'invalid_free_close', run: freesAt(8) },
  { name: 'invalid_free_far', run: freesAt(3 * MIB) },
  { name: 'invalid_free_unaligned', run: freesAt(1) },
  {
    name: 'invalid_free_unaligned_multiple',
    run: (p, size) => {
      const address = p.alloc(size);
      for (let offset = 7; offset > 0; offset--) p.free(address + offset);
      p.doing = 'missed';
    },
  },
  { name: 'impossibly_large_malloc', run: (p) => p.alloc(2 ** 32 - 2) },
  {
    name: 'write_after_free',
    run: (p, size) => {
      const address = p.alloc(size);
      p.free(address);
      p.write(address, 0, size);
    },
  },
  {
    name: 'write_after_free_reuse',
    run: (p, size) => {
      const address = p.alloc(size);
      p.free(address);
      p.write(address, 0, size);
      for (let i = 0; i < 256; i++) p.free(p.alloc(size));
      p.doing = 'missed';
    },
  },
  {
    name: 'malloc_reuse',
    run: (p, size) => {
      const address = p.alloc(size);
      p.free(address);
      p.doing = p.alloc(size) === address ? 'missed' : 'prevented';
    },
  },
  {
    name: 'malloc_reuse_downsize',
    run: (p, size) => {
      const address = p.alloc(size);
      p.free(address);
      p.doing = p.alloc(Math.max(1, size - 1)) === address ? 'missed' : 'prevented';
    },
  },
  {
    name: 'realloc_reuse',
    run: (p, size) => {
      const address = p.alloc(size);
      const moved = p.realloc(address, 4 * size);
      const again = p.alloc(size);
      p.doing = moved !== address && again === address ? 'missed' : 'prevented';
    },
  },
  {
    name: 'read_zero_size',
    run: (p) => {
      const address = p.alloc(0);
      p.read(address, 0);
    },
  },
  {
    name: 'read_zero_size_free',
    run: (p) => {
      const address = p.alloc(0);
      p.read(address, 0);
      p.free(address);
      p.doing = 'missed';
    },
  },
  { name: 'write_zero_size', run: (p) => p.write(p.alloc(0), 0) },
  {
    name: 'write_zero_size_free',
    run: (p) => {
      const address = p.alloc(0);
      p.write(address, 0);
      p.free(address);
      p.doing = 'missed';
    },
  },
  {
    name: 'zero_after_free',
    run: (p, size) => {
      const address = p.alloc(size);
      p.heap.u8.fill(0x41, address, address + size);
      p.free(address);
      const left = p.heap.u8.subarray(address, address + size).some((byte) => byte === 0x41);
      p.doing = left ? 'missed' : 'prevented';
    },
  },
  {
    name: 'zero_on_malloc',
    run: (p, size) => {
      const address = p.alloc(size);
      p.heap.u8.fill(0x41, address, address + size);
      p.free(address);
      const again = p.alloc(size);
      p.doing = p.heap.u8.subarray(again, again + size).includes(0x41) ? 'missed' : 'prevented';
    },
  },
  // The data of a heap is no code, wherever it lies.
  { name: 'executable_heap', run: (p) => p.harmless() },
];

export const SECURITY_SIZES: readonly number[] = [8, 4096, 262_144];

const LARGE = 200_000;

const memset =
  (length: number): Bug['run'] =>
  (p) => {
    const address = p.alloc(128 - 8);
    p.write(address, 120 - length + 1, length);
    p.free(address);
    p.doing = 'missed';
  };

/** The portable cases of KASAN's test, by their names. */
export const KASAN: readonly Bug[] = [
  {
    name: 'kmalloc_oob_right',
    run: (p) => {
      const address = p.alloc(115);
      p.write(address, 115);
      p.free(address);
      p.doing = 'missed';
    },
  },
  {
    name: 'kmalloc_oob_left',
    run: (p) => {
      const address = p.alloc(15);
      p.write(address, -1);
      p.free(address);
      p.doing = 'missed';
    },
  },
  {
    name: 'kmalloc_node_oob_right',
    run: (p) => {
      p.doing = 'alloc';
      const address = p.known(p.heap.kmallocNode(1000, GFP.KERNEL, 0));
      p.write(address, 1000);
      p.free(address);
      p.doing = 'missed';
    },
  },
  {
    name: 'kmalloc_big_oob_right',
    run: (p) => {
      const address = p.alloc(2000);
      p.write(address, 2000);
      p.free(address);
      p.doing = 'missed';
    },
  },
  {
    name: 'kmalloc_large_oob_right',
    run: (p) => {
      const address = p.alloc(LARGE + 10);
      p.write(address, LARGE + 10);
      p.free(address);
      p.doing = 'missed';
    },
  },
  {
    name: 'kmalloc_large_uaf',
    run: (p) => {
      const address = p.alloc(LARGE);
      p.free(address);
      p.read(address, 0);
    },
  },
  { name: 'kmalloc_large_invalid_free', run: (p) => p.free(p.alloc(LARGE) + 1) },
  {
    name: 'krealloc_more_oob',
    run: (p) => {
      const address = p.realloc(p.alloc(201), 235);
      p.write(address, 235);
      p.free(address);
      p.doing = 'missed';
    },
  },
  {
    name: 'krealloc_less_oob',
    run: (p) => {
      const address = p.realloc(p.alloc(235), 201);
      p.write(address, 201);
      p.free(address);
      p.doing = 'missed';
    },
  },
  {
    name: 'krealloc_large_more_oob',
    run: (p) => {
      const address = p.realloc(p.alloc(LARGE + 201), LARGE + 235);
      p.write(address, LARGE + 235);
      p.free(address);
      p.doing = 'missed';
    },
  },
  {
    name: 'krealloc_large_less_oob',
    run: (p) => {
      const address = p.realloc(p.alloc(LARGE + 235), LARGE + 201);
      p.write(address, LARGE + 201);
      p.free(address);
      p.doing = 'missed';
    },
  },
  {
    name: 'krealloc_uaf',
    run: (p) => {
      const address = p.alloc(201);
      p.free(address);
      p.realloc(address, 235);
      p.doing = 'missed';
    },
  },
  {
    name: 'kmalloc_oob_16',
    run: (p) => {
      const address = p.alloc(13);
      p.write(address, 0, 16);
      p.free(address);
      p.doing = 'missed';
    },
  },
  {
    name: 'kmalloc_uaf_16',
    run: (p) => {
      const address = p.alloc(16);
      p.free(address);
      p.read(address, 0, 16);
    },
  },
  { name: 'kmalloc_oob_in_memset', run: memset(120) },
  { name: 'kmalloc_oob_memset_2', run: memset(2) },
  { name: 'kmalloc_oob_memset_4', run: memset(4) },
  { name: 'kmalloc_oob_memset_8', run: memset(8) },
  { name: 'kmalloc_oob_memset_16', run: memset(16) },
  {
    name: 'kmalloc_memmove_negative_size',
    run: (p) => {
      const address = p.alloc(64);
      p.write(address, 4, -2);
      // Views do nothing with a negative length.
      p.harmless();
    },
  },
  {
    name: 'kmalloc_memmove_invalid_size',
    run: (p) => {
      const address = p.alloc(64);
      p.write(address, 4, 64);
      p.free(address);
      p.doing = 'missed';
    },
  },
  {
    name: 'kmalloc_uaf',
    run: (p) => {
      const address = p.alloc(10);
      p.free(address);
      p.write(address, 8);
    },
  },
  {
    name: 'kmalloc_uaf_memset',
    run: (p) => {
      const address = p.alloc(33);
      p.free(address);
      p.write(address, 0, 33);
    },
  },
  {
    name: 'kmalloc_uaf2',
    run: (p) => {
      const first = p.alloc(43);
      p.free(first);
      p.alloc(43);
      p.write(first, 40);
    },
  },
  {
    name: 'kmalloc_uaf3',
    run: (p) => {
      const [first, second] = [p.alloc(100), p.alloc(100)];
      p.free(first);
      p.free(second);
      p.write(first, 8);
    },
  },
  {
    name: 'kmalloc_double_kzfree',
    run: (p) => {
      const address = p.alloc(16);
      p.frees(() => p.heap.kfreeSensitive(address));
      p.frees(() => p.heap.kfreeSensitive(address));
      p.doing = 'missed';
    },
  },
  {
    name: 'ksize_unpoisons_memory',
    run: (p) => {
      const address = p.alloc(123);
      p.write(address, p.heap.ksize(address));
      p.free(address);
      p.doing = 'missed';
    },
  },
  {
    name: 'ksize_uaf',
    run: (p) => {
      const address = p.alloc(43);
      p.free(address);
      p.doing = 'access';
      p.heap.ksize(address);
      p.doing = 'missed';
    },
  },
  {
    name: 'kmem_cache_oob',
    run: (p) => {
      const cache = p.heap.createCache({ name: 'test_cache', size: 200 });
      const address = p.known(cache.alloc());
      p.write(address, 200);
      p.frees(() => cache.free(address));
      p.doing = 'missed';
    },
  },
  {
    name: 'kmem_cache_double_free',
    run: (p) => {
      const cache = p.heap.createCache({ name: 'test_cache', size: 200 });
      const address = cache.alloc();
      cache.free(address);
      p.frees(() => cache.free(address));
      p.doing = 'missed';
    },
  },
  {
    name: 'kmem_cache_invalid_free',
    run: (p) => {
      const cache = p.heap.createCache({ name: 'test_cache', size: 200, flags: SLAB.TYPESAFE_BY_RCU });
      const address = cache.alloc();
      p.frees(() => cache.free(address + 1));
      p.doing = 'missed';
    },
  },
  {
    name: 'kmem_cache_rcu_uaf',
    run: (p) => {
      const cache = p.heap.createCache({ name: 'test_cache', size: 200, flags: SLAB.TYPESAFE_BY_RCU });
      const address = p.known(cache.alloc());
      p.frees(() => cache.free(address));
      p.read(address, 0);
    },
  },
  {
    name: 'kmem_cache_double_destroy',
    run: (p) => {
      const cache = p.heap.createCache({ name: 'test_cache', size: 200 });
      cache.destroy();
      p.frees(() => cache.destroy());
      p.doing = 'missed';
    },
  },
  {
    name: 'kmem_cache_bulk',
    run: (p) => {
      const cache = p.heap.createCache({ name: 'test_cache', size: 200 });
      const out = new Uint32Array(10);
      cache.allocBulk(out);
      p.known(out[4]);
      p.write(out[4], 200);
      p.frees(() => cache.freeBulk(out));
      p.doing = 'missed';
    },
  },
  {
    name: 'mempool_kmalloc_oob_right',
    run: (p) => {
      const pool = p.heap.createMempool(4, 115);
      const address = p.known(pool.alloc());
      p.write(address, pool.size);
      p.frees(() => pool.free(address));
      p.doing = 'missed';
    },
  },
  {
    name: 'mempool_uaf',
    run: (p) => {
      const pool = p.heap.createMempool(4, 115);
      const address = p.known(pool.alloc());
      p.frees(() => pool.free(address));
      p.write(address, 8);
      pool.destroy();
      for (let i = 0; i < 128; i++) p.heap.kmalloc(115);
    },
  },
  {
    name: 'mempool_double_free',
    run: (p) => {
      const pool = p.heap.createMempool(4, 115);
      const address = pool.alloc();
      p.frees(() => pool.free(address));
      p.frees(() => pool.free(address));
      p.doing = 'missed';
    },
  },
  {
    name: 'mempool_invalid_free',
    run: (p) => {
      const pool = p.heap.createMempool(4, 115);
      const address = pool.alloc();
      p.frees(() => pool.free(address + 1));
      p.doing = 'missed';
    },
  },
];

/** A table in Markdown. */
export function tableOf(
  bugs: readonly Bug[],
  columns: readonly { title: string; moment: (bug: Bug) => Moment }[],
): string {
  const rows = bugs.map((bug) => `| ${bug.name} | ${columns.map(({ moment }) => moment(bug)).join(' | ')} |`);
  const head = `| program | ${columns.map(({ title }) => title).join(' | ')} |`;
  return [head, `|---|${columns.map(() => '---|').join('')}`, ...rows].join('\n');
}
