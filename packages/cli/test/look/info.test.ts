// `modslab info`: each option says what the heap of a snapshot says itself; bad targets get one line.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { Heap, SLAB } from 'modslab';
import { formatSlabinfo } from 'modslab/stat';
import { modslab, path, rsyslogd, write } from '../helpers.ts';

/** A heap with a few caches in use, and its snapshot in a file. */
function scene(): { heap: Heap; file: string } {
  const heap = Heap.create({ size: 2 ** 21, nodes: 2, merge: true, cpus: 4 });
  const dentry = heap.createCache({ name: 'dentry', size: 192, flags: SLAB.RECLAIM_ACCOUNT });
  heap.createCache({ name: 'alias', size: 120 });
  for (let i = 0; i < 3000; i++) dentry.alloc();
  const small = Array.from({ length: 5000 }, () => heap.kmalloc(40));
  for (const address of small.filter((_, i) => i % 3 > 0)) heap.kfree(address);
  return { heap, file: write('info.snapshot', heap.snapshot()) };
}

const { heap, file } = scene();

/** Runs `info`, which must be well; its lines. */
function info(...args: string[]): string[] {
  const { status, stdout, stderr } = modslab(['info', ...args]);
  assert.equal(stderr, '');
  assert.equal(status, 0);
  const lines = stdout.split('\n');
  assert.equal(lines.pop(), '');
  return lines;
}

const names = (lines: string[]): string[] => lines.slice(1).map((line) => line.split(/\s+/)[0]);

test('the table has every cache with slabs, in 80 columns, with the figures of the heap', () => {
  const lines = info(file);
  assert.ok(lines.every((line) => line.length <= 80));
  assert.deepEqual(
    names(lines),
    heap
      .slabinfo()
      .filter(({ slabs }) => slabs > 0)
      .map(({ name }) => name),
  );
  const [, objects, objsize] = lines.find((line) => line.startsWith('dentry'))?.split(/\s+/) ?? [];
  assert.deepEqual([objects, objsize], ['3000', '192']);
  assert.ok(info('-z', file).length > lines.length, '-z: caches without slabs too');
});

test('-L counts what was asked for where owners are tracked', () => {
  const loss = (debug: string): [loss: number, space: number] => {
    const tracked = Heap.create({ size: 2 ** 20, debug });
    // 70 bytes lie in objects of 96.
    for (let i = 0; i < 100; i++) tracked.kmalloc(70);
    const [, row] = info('-L', '-B', write('loss.snapshot', tracked.snapshot()), '^kmalloc-96$');
    const [found] = tracked.slabinfo().filter(({ name }) => name === 'kmalloc-96');
    return [Number(row.split(/\s+/)[3]), found.slabs * found.framesPerSlab * tracked.pageSize];
  };
  const [tracked, all] = loss('U,kmalloc-96');
  assert.equal(all - tracked, 100 * 70);
  const [plain, space] = loss('F,kmalloc-96');
  assert.equal(space - plain, 100 * 96);
});

test('rows are chosen and ordered as slabinfo does', () => {
  assert.equal(names(info('-S', file))[0], 'dentry');
  assert.equal(names(info('-L', file))[0], 'kmalloc-48');
  assert.equal(names(info('-P', file))[0], 'kmalloc-48');
  assert.equal(names(info('-A', file))[0], 'kmalloc-48');
  assert.equal(names(info('-S', '-i', file)).at(-1), 'dentry');
  assert.equal(info('-S', '-N', '1', file).length, 2);
  assert.ok(!names(info('-U', file)).includes('dentry'));
  assert.deepEqual(names(info(file, '^dent')), ['dentry']);
  assert.ok(
    names(info('-e', file)).every((name) => heap.slabinfo().find((row) => row.name === name)?.objects === 0),
  );
});

test('-B gives bytes, -D what caches were used for, -n nodes, -a aliases, --proc the text of the kernel', () => {
  const space = heap.slabinfo().find(({ name }) => name === 'dentry')?.slabs ?? 0;
  assert.ok(info('-B', file, 'dentry')[1].includes(` ${space * heap.pageSize} `));
  const [, , allocs] = info('-D', file, 'dentry')[1].split(/\s+/);
  assert.ok(Number(allocs) <= 3000 && Number(allocs) > 2800, allocs);
  assert.match(info('-n', file)[0], /Slabs +N0 +N1$/);
  assert.deepEqual(info('-a', file), ['alias                    -> kmalloc-128']);
  assert.equal(`${info('--proc', '-z', file).join('\n')}\n`, formatSlabinfo(heap.slabinfo(), '2.1'));
  assert.equal(`${info('--proc', '3.0', '-z', file).join('\n')}\n`, formatSlabinfo(heap.slabinfo(), '3.0'));
  assert.ok(info('-x', file, 'dentry').includes('    objs_per_slab:341'));
});

test('totals, the report and the extended summary add up', () => {
  const totals = info('-T', file).join('\n');
  assert.match(totals, /Slabcaches +: +\d+ +Aliases +: +1 /);
  const objects = heap.slabinfo().reduce((sum, row) => sum + row.objects, 0);
  assert.match(info('-T', '-B', file).join('\n'), new RegExp(`# Objects  : +${objects} `));
  const report = info('-r', file, 'dentry').join('\n');
  assert.match(report, /^Slabcache: dentry {2}Aliases: 0 {2}Order: 0 {2}Objects: 3000$/m);
  assert.match(report, /reclaimable/);
  assert.match(report, /allocated less freed 3000$/m);
  assert.match(
    info('-X', file).join('\n'),
    /Largest caches[\s\S]*dentry[\s\S]*Caches that lose most[\s\S]*kmalloc-48/,
  );
});

test('--json has the attributes of every cache', () => {
  const [line] = info('--json', '-z', file);
  const json = JSON.parse(line) as { caches: { name: string; objects: number }[]; meminfo: { live: number } };
  assert.equal(json.meminfo.live, heap.meminfo().live);
  assert.equal(json.caches.find(({ name }) => name === 'dentry')?.objects, 3000);
});

test('-v finds a sound heap sound, and tells of one that is not with status 1', () => {
  assert.deepEqual(info('-v', file), ['sound: every invariant holds']);
  const { metadata } = heap as unknown as { metadata: { m: Int32Array; layout: { vmemMap: number } } };
  const address = heap.kmalloc(40);
  const pfn = Math.floor(address / heap.pageSize);
  const stride = metadata.layout.vmemMap + pfn * 16 + 9;
  metadata.m[stride] += 8;
  const bad = modslab(['info', '-v', write('bad.snapshot', heap.snapshot({ data: false }))]);
  metadata.m[stride] -= 8;
  heap.kfree(address);
  assert.equal(bad.status, 1);
  assert.match(bad.stdout, /^E\w+: /);
});

test('-v finds heaps with slab debugging sound in snapshots without data, but not damage that is in the metadata', () => {
  for (const debug of ['U', 'G', 'Z', 'P', 'FZPUG']) {
    const debugged = Heap.create({ size: 2 ** 20, debug });
    const address = debugged.kmalloc(40);
    debugged.kfree(debugged.kmalloc(40));
    assert.deepEqual(info('-v', write('debugged.snapshot', debugged.snapshot({ data: false }))), [
      'sound: every invariant holds',
    ]);
    debugged.kfree(address);
  }
});

test('a compressed snapshot is read as well', () => {
  assert.deepEqual(info(write('info.snapshot.gz', gzipSync(heap.snapshot()))), info(file));
});

test('what cannot be looked at ends with status 2 and one line', () => {
  const damaged = heap.snapshot();
  damaged[4000] ^= 1;
  const cases: [string[], RegExp][] = [
    [[path('missing')], /missing: no such file or socket/],
    [[rsyslogd], /no snapshot/],
    [[write('damaged.snapshot', damaged)], /ECORRUPT.*checksum/],
    [[write('cut.snapshot', damaged.subarray(0, 5000))], /has 5000 bytes/],
    [[write('empty.snapshot', '')], /no snapshot/],
    [[file, '('], /no regular expression/],
    [['-N', '0', file], /whole number above 0/],
    [['-s', file], /only a live heap/],
    [['--proc', file], /The version is 3\.0 or 2\.1: write --proc=2\.1/],
    [['-t', file], /only a live heap/],
    [['999999999'], /exposes no heap/],
  ];
  for (const [args, message] of cases) {
    const { status, stdout, stderr } = modslab(['info', ...args]);
    assert.equal(status, 2, `${args}: ${stderr}`);
    assert.equal(stdout, '');
    assert.match(stderr, /^modslab: [^\n]*\n$/);
    assert.match(stderr, message);
  }
});
