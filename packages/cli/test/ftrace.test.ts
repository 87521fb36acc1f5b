/** The reader of kernel ftrace text: everything that real recordings hold. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Op, ZEROED } from '#src/replay/program.js';
import { decode, ftrace, ftraceLine, kernel, rowsOf } from './helpers.ts';

const { kmalloc, kfree, alloc, free, pages, freePages } = kernel;

/** The first line of events in what `ftrace` makes. */
const FIRST = 6;

function fails(text: string, message: RegExp): void {
  assert.throws(() => decode(text), { name: 'TraceError', message });
}

/** Rows without their lines, up to the last of the trace. */
function shortRows(lines: string[]): number[][] {
  const program = decode(ftrace(lines));
  return rowsOf(program)
    .slice(0, program.operations)
    .map((row) => row.slice(0, 6));
}

/** The counts that are not 0. */
function counted(lines: string[]): Record<string, number> {
  const { skipped, implied } = decode(ftrace(lines));
  return Object.fromEntries(Object.entries({ ...skipped, ...implied }).filter(([, n]) => n > 0));
}

test('kmalloc, caches and pages become rows; CPUs become threads', () => {
  const program = decode(
    ftrace([
      kmalloc(3, 0x10, 63, 64),
      kmalloc(0, 0x20, 63, 64, true),
      alloc(3, 0x30, 'dentry', 180, 192),
      pages(0, 0x110ee5, 2, true),
      kfree(0, 0x10),
      free(0, 0x30, 'dentry'),
      freePages(3, 0x110ee5, 2),
    ]),
  );
  assert.deepEqual(rowsOf(program), [
    [Op.Kmalloc, 0, 0, 63, 0, 0, 6],
    [Op.Kzalloc, 1, 0, 63, 0, 1, 7],
    [Op.CacheAlloc, 2, 0, 180, 0, 0, 8],
    [Op.PageAlloc | ZEROED, 3, 0, 16384, 2, 1, 9],
    [Op.Kfree, 0, 1, 63, 0, 1, 10],
    [Op.CacheFree, 2, 1, 180, 0, 1, 11],
    [Op.PageFree, 3, 1, 16384, 2, 0, 12],
    [Op.Kfree, 1, 1, 63, 0, 0, 0],
  ]);
  assert.deepEqual(program.caches, [{ name: 'dentry', size: 192 }]);
  assert.deepEqual([program.events, program.operations, program.threads, program.pages], [7, 7, 2, true]);
  assert.equal(program.peakLive, 63 + 63 + 180 + 16384);
});

test('frees that the recording does not explain are counted, not executed', () => {
  const lines = [kfree(0, 0), kfree(0, 0), kfree(0, 0x50), free(1, 0x60, 'filp'), freePages(0, 9, 0)];
  assert.deepEqual(shortRows(lines), []);
  assert.deepEqual(counted(lines), { nullFrees: 2, unmatchedFrees: 2, unmatchedPages: 1 });
});

test('an address that is handed out again was freed in between', () => {
  const lines = [
    alloc(0, 0x10, 'maple_node', 256, 256),
    kmalloc(1, 0x10, 8, 8),
    pages(0, 5, 1),
    pages(1, 5, 0),
  ];
  assert.deepEqual(shortRows(lines), [
    [Op.CacheAlloc, 0, 0, 256, 0, 0],
    [Op.CacheFree, 0, 1, 256, 0, 1],
    [Op.Kmalloc, 1, 0, 8, 0, 1],
    [Op.PageAlloc, 2, 0, 8192, 1, 0],
    [Op.PageFree, 2, 1, 8192, 1, 1],
    [Op.PageAlloc, 3, 0, 4096, 0, 1],
  ]);
  assert.deepEqual(counted(lines), { impliedFrees: 1, impliedPageFrees: 1 });
  assert.equal(decode(ftrace(lines)).events, 4);
});

test('kfree of a cache object stays a kfree', () => {
  const lines = [alloc(0, 0x10, 'skbuff_small_head', 600, 640), kfree(1, 0x10), kfree(1, 0x10)];
  assert.deepEqual(shortRows(lines), [
    [Op.CacheAlloc, 0, 0, 600, 0, 0],
    [Op.Kfree, 0, 1, 600, 0, 1],
  ]);
  assert.deepEqual(counted(lines), { unmatchedFrees: 1 });
});

test('kmem_cache_free of a kmalloc object is a kfree', () => {
  assert.deepEqual(shortRows([kmalloc(0, 0x10, 60, 64), free(0, 0x10, 'kmalloc-64')]), [
    [Op.Kmalloc, 0, 0, 60, 0, 0],
    [Op.Kfree, 0, 1, 60, 0, 0],
  ]);
});

test('a free to another cache: freed unseen, and the one freed was never seen', () => {
  const lines = [alloc(0, 0x10, 'filp', 200, 256), free(0, 0x10, 'dentry'), free(0, 0x10, 'filp')];
  assert.deepEqual(shortRows(lines).length, 2);
  assert.deepEqual(counted(lines), { otherCacheFrees: 1, unmatchedFrees: 2 });
});

test('pages freed under another order stay live', () => {
  const lines = [pages(0, 8, 3), freePages(0, 8, 0), freePages(0, 9, 0), freePages(0, 8, 3)];
  assert.deepEqual(shortRows(lines).length, 2);
  assert.deepEqual(counted(lines), { otherOrderFrees: 1, unmatchedPages: 1 });
});

test('kernels that do not name the cache at allocation: the free tells, or the size does', () => {
  const program = decode(
    ftrace([
      alloc(0, 0x10, undefined, 192, 192),
      alloc(0, 0x20, undefined, 180, 192),
      alloc(0, 0x30, undefined, 170, 192),
      alloc(0, 0x40, undefined, 8392, 8448),
      free(0, 0x20, 'dentry'),
      free(1, 0x10, 'cred_jar'),
      kfree(0, 0x40),
    ]),
  );
  const names = rowsOf(program).map(([op, , , , aux]) =>
    op === Op.Kfree ? 'kfree' : program.caches[aux].name,
  );
  assert.deepEqual(names, [
    ...['cred_jar', 'dentry', 'size-192', 'size-8448'],
    ...['dentry', 'cred_jar', 'kfree'],
    ...['size-192'],
  ]);
  assert.deepEqual(
    program.caches.map(({ size }) => size),
    [192, 192, 192, 8448],
  );
});

test('one name with two object sizes becomes two caches', () => {
  const program = decode(ftrace([alloc(0, 1, 'pid', 100, 128), alloc(0, 2, 'pid', 150, 192)]));
  assert.deepEqual(program.caches, [
    { name: 'pid', size: 128 },
    { name: 'pid#192', size: 192 },
  ]);
});

test('task names may hold anything', () => {
  for (const task of [
    '<idle>-0',
    'kworker/u4:1-eve-37',
    'a [001] b-5',
    '-99',
    'Web Content-7',
    'x-1 [2] 3.4: kfree:-8',
  ]) {
    const line = ftraceLine(1, 'kmalloc', 'call_site=f ptr=00000000000000aa bytes_req=5 bytes_alloc=8', task);
    const program = decode(ftrace([kmalloc(0, 1, 1, 8), line]));
    assert.deepEqual(rowsOf(program)[1], [Op.Kmalloc, 1, 0, 5, 0, 1, FIRST + 1], task);
  }
});

test('other shapes of a line: thread groups, no flags, other clocks, older names and addresses', () => {
  const rest = 'call_site=f ptr=0x10 bytes_req=5 bytes_alloc=8 gfp_flags=GFP_KERNEL';
  for (const line of [
    `            bash-1234  (   1234) [000] d..1.  12.5: kmalloc: ${rest}`,
    `            bash-1234  (-------) [000] d..1.  12.5: kmalloc: ${rest}`,
    `            bash-1234  [000]  12.5: kmalloc: ${rest}`,
    `            bash-1234  [000] .....  125000: kmalloc: ${rest}`,
    `            bash-1234  [000] .....  12.5: kmalloc_node: ${rest} node=0`,
    `            bash-1234  [000] .....  12.5: kmalloc: (f+0x1/0x2) ${rest}`,
  ]) {
    assert.deepEqual(rowsOf(decode(`${line}\n`))[0], [Op.Kmalloc, 0, 0, 5, 0, 0, 1], line);
  }
  const node = ftraceLine(0, 'kmem_cache_alloc_node', rest);
  assert.equal(rowsOf(decode(ftrace([node])))[0][0], Op.CacheAlloc);
});

test('what is not an object is counted', () => {
  const lines = [
    ftraceLine(0, 'kmalloc', 'call_site=f ptr=(null) bytes_req=5 bytes_alloc=0 gfp_flags=GFP_ATOMIC'),
    ftraceLine(
      0,
      'kmalloc',
      'call_site=f ptr=(____ptrval____) bytes_req=5 bytes_alloc=8 gfp_flags=GFP_KERNEL',
    ),
    ftraceLine(0, 'kfree', 'call_site=f ptr=(____ptrval____)'),
    ftraceLine(0, 'mm_page_alloc', 'page=(null) pfn=0x0 order=4 migratetype=0 gfp_flags=GFP_KERNEL'),
    ftraceLine(0, 'mm_page_free', 'page=(null) pfn=0x0 order=4'),
    ftraceLine(0, 'sched_switch', 'prev_comm=bash ==> next_comm=swapper'),
    ftraceLine(0, 'mm_page_free_batched', 'page=0000000000000001 pfn=0x1 order=0'),
  ];
  assert.deepEqual(counted(lines), {
    failedAllocations: 2,
    hiddenAddresses: 2,
    nullFrees: 1,
    otherEvents: 2,
  });
});

test('page frame 0 is a page', () => {
  assert.equal(shortRows([pages(0, 0, 0), freePages(0, 0, 0)]).length, 2);
});

test('addresses keep all their 64 bits', () => {
  const line = (event: string, ptr: string): string =>
    ftraceLine(0, event, `call_site=f ptr=${ptr} bytes_req=1 bytes_alloc=8`);
  const rows = shortRows([
    line('kmalloc', 'ff3ff120425a9bc0'),
    line('kmalloc', 'ff3ff121425a9bc0'),
    line('kfree', 'ff3ff121425a9bc0'),
    line('kfree', 'FF3FF120425A9BC0'),
  ]);
  assert.deepEqual(
    rows.map(([, id]) => id),
    [0, 1, 1, 0],
  );
});

test('many addresses, again and again', () => {
  const lines: string[] = [];
  for (let round = 0; round < 3; round++) {
    for (let i = 1; i <= 9000; i++) lines.push(kmalloc(0, i * 4096, 8, 8));
    for (let i = 1; i <= 9000; i++) lines.push(kfree(0, i * 4096));
  }
  const program = decode(ftrace(lines));
  assert.deepEqual([program.objects, program.frees, program.endObjects], [27_000, 27_000, 0]);
  assert.deepEqual(counted(lines), {});
});

test('stack traces, blank lines and comments are passed over; lost events are counted', () => {
  const lines = [
    kmalloc(0, 1, 1, 8),
    ' => foo',
    ' => bar',
    '',
    '##### CPU 1 buffer started ####',
    'CPU:1 [LOST 123 EVENTS]',
  ];
  const program = decode(ftrace(lines, 1));
  assert.equal(program.operations, 1);
  assert.equal(program.skipped.lostEvents, 123);
  const overwritten = ftrace([kmalloc(0, 1, 1, 8)]).replace('1/1 ', '1/900 ');
  assert.equal(decode(overwritten).skipped.lostEvents, 899);
});

test('bad lines', () => {
  const good = kmalloc(0, 1, 1, 8);
  const bad = (line: string, message: RegExp): void => {
    fails(ftrace([good, line]), message);
  };
  bad('nonsense', /^t:7: malformed line: no "-PID \[CPU\] … TIME: EVENT:" in "nonsense"$/);
  bad(ftraceLine(0, 'kfree', 'call_site=f'), /^t:7: malformed line: no ptr= in "/);
  bad(ftraceLine(0, 'kmalloc', 'ptr=12 bytes_alloc=8'), /^t:7: malformed line: no bytes_req= in "/);
  bad(ftraceLine(0, 'kmalloc', 'ptr=12 bytes_req=8'), /^t:7: malformed line: no bytes_alloc= in "/);
  bad(ftraceLine(0, 'kfree', ' ptr=xyz'), /^t:7: malformed address in "/);
  bad(ftraceLine(0, 'kfree', ' ptr='), /^t:7: malformed address in "/);
  bad(ftraceLine(0, 'kfree', ' ptr=(what)'), /^t:7: malformed address in "/);
  bad(
    ftraceLine(0, 'kfree', ' ptr=12345678901234567'),
    /^t:7: number too large \(an address has 64 bits\) in "/,
  );
  const sizes = (req: string, allocated: string): string =>
    ftraceLine(0, 'kmem_cache_alloc', `call_site=f ptr=12 bytes_req=${req} bytes_alloc=${allocated}`);
  bad(sizes('4294967296', '8'), /^t:7: number too large \(at most 4294967295\) in "/);
  bad(sizes('-8', '8'), /^t:7: malformed number in "/);
  bad(sizes('8x', '8'), /^t:7: malformed number in "/);
  bad(sizes('9', '8'), /^t:7: bytes_req above bytes_alloc in "/);
  bad(sizes('0', '0'), /^t:7: bytes_alloc=0 in "/);
  bad(pages(0, 1, 25), /^t:7: number too large \(order at most 19\) in "/);
  bad(
    ftraceLine(70_000, 'kfree', ' ptr=0'),
    /^t:7: malformed line|^t:7: number too large \(CPU at most 65535\) in "/,
  );
  bad('CPU:1 [FOUND 1 EVENTS]', /^t:7: malformed line in "/);
});

test('a header that counts other events than there are, and a trace without any of kmem', () => {
  fails(ftrace([kmalloc(0, 1, 1, 8)], 2), /^t:3: the header says 2 entries, the file has 1 events$/);
  fails(ftrace([ftraceLine(0, 'sched_switch', 'x=y')]), /^t:6: no events of the group kmem in this trace/);
  fails(ftrace([]), /^t:5: no events of the group kmem in this trace/);
});
