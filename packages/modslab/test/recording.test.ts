// Recordings: what comes out is a trace whose header is right, in an order in which nothing is handed out twice.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GFP, Heap, SlabError } from 'modslab';
import { formatFtrace, formatMtrace1, type HeapRecording, recordingsByHeap } from 'modslab/trace';
import { smallHeap, thrownBy, wrong } from './support/heap.ts';
import { Random } from './support/random.ts';

/** Records what `act` does on a heap and its other ends. */
function recorded(ends: readonly Heap[], act: () => void): HeapRecording {
  const recordings = ends.map((end) => end.record());
  act();
  const all = recordingsByHeap(recordings.map((recording) => recording.stop()));
  assert.equal(all.length, 1, 'one heap');
  return all[0];
}

const events = (trace: string): string[] =>
  trace.split('\n').filter((line) => line !== '' && !line.startsWith('#'));

function headerOf(trace: string): Record<string, string> {
  return Object.fromEntries(
    [...trace.matchAll(/^# ([\w-]+): (.*)$/gm)].map(([, key, value]) => [key, value]),
  );
}

test('calls become the lines of mtrace1, with what they asked for', () => {
  const heap = smallHeap();
  const cache = heap.createCache({ name: 'objects', size: 100 });
  const trace = formatMtrace1(
    recorded([heap], () => {
      const a = heap.kmalloc(33);
      const b = heap.kzalloc(500);
      const c = heap.kmallocAligned(40, 256);
      const pages = heap.allocPages(1);
      const d = cache.alloc(GFP.NOWAIT);
      const moved = heap.krealloc(a, 700);
      heap.krealloc(b, 400);
      heap.kfree(moved);
      cache.free(d);
      heap.freePages(pages, 1);
      heap.kfree(c);
    }),
    { program: 'test', command: 'a  command\nof two lines' },
  );
  const page = heap.pageSize;
  assert.deepEqual(events(trace), [
    'a 0 33 0',
    'c 1 500 0',
    'm 2 40 256 0',
    `m 3 ${2 * page} ${2 * page} 0`,
    'a 4 100 0',
    'r 0 700 0',
    'r 1 400 0',
    'f 0 0',
    'f 4 0',
    'f 3 0',
    'f 2 0',
  ]);
  const { date, ...header } = headerOf(trace);
  assert.match(date, /^20\d\d-.*Z$/);
  assert.deepEqual(header, {
    program: 'test',
    command: 'a command of two lines',
    recorder: 'modslab',
    events: '11',
    objects: '5',
    ops: 'a=2 c=1 m=2 r=2 f=4',
    threads: '1',
    'peak-live-bytes': String(33 + 500 + 40 + 2 * page + 100 + 667),
    'peak-live-objects': '5',
    'end-live-bytes': '400',
    'end-live-objects': '1',
    'largest-request': String(2 * page),
    'dropped-unknown-frees': '0',
    'unknown-reallocs': '0',
    'implied-frees': '0',
    'duration-ms': header['duration-ms'],
    truncated: 'no',
  });
});

test('what was not seen is made good, and counted', () => {
  const heap = smallHeap();
  const before = heap.kmalloc(40);
  const resized = heap.kmalloc(40);
  const group = heap.createGroup();
  const trace = formatMtrace1(
    recorded([heap], () => {
      heap.kfree(before);
      const grown = heap.krealloc(resized, 300);
      const first = group.kmalloc(40);
      group.free();
      const again = heap.createGroup();
      assert.equal(again.kmalloc(40), first, 'the address comes again without an event');
      heap.kfree(grown);
    }),
  );
  assert.deepEqual(events(trace), ['a 0 300 0', 'a 1 40 0', 'f 1 0', 'a 2 40 0', 'f 0 0']);
  const header = headerOf(trace);
  assert.deepEqual(
    [header['dropped-unknown-frees'], header['unknown-reallocs'], header['implied-frees']],
    ['1', '1', '1'],
  );
});

test('the kernel form has the same events, orders in pages of 4096 bytes', () => {
  const heap = smallHeap({ pageSize: 8192 });
  const cache = heap.createCache({ name: 'inode_cache', size: 600 });
  const trace = formatFtrace(
    recorded([heap], () => {
      const a = heap.kmalloc(33, GFP.ZERO | GFP.NOWAIT);
      const moved = heap.krealloc(a, 700);
      cache.free(cache.alloc());
      heap.freePages(heap.allocPages(1), 1);
      heap.krealloc(moved, 690);
    }),
  );
  const lines = events(trace).map((line) => line.replace(/^ +cpu0-1 {3}\[000\] \.{5} +[\d.]+: /, ''));
  const shape = lines.map((line) =>
    line.replace(/(ptr|page)=[\da-f]{16}/, '$1=P').replace(/pfn=0x[\da-f]+/, 'pfn=N'),
  );
  assert.deepEqual(shape, [
    'kmalloc: call_site=0x0 ptr=P bytes_req=33 bytes_alloc=48 gfp_flags=GFP_NOWAIT|__GFP_ZERO node=-1 accounted=false',
    'kfree: call_site=0x0 ptr=P',
    'kmalloc: call_site=0x0 ptr=P bytes_req=700 bytes_alloc=768 gfp_flags=GFP_KERNEL node=-1 accounted=false',
    'kmem_cache_alloc: call_site=0x0 ptr=P name=inode_cache bytes_req=600 bytes_alloc=608 gfp_flags=GFP_KERNEL node=-1 accounted=false',
    'kmem_cache_free: call_site=0x0 ptr=P name=inode_cache',
    'mm_page_alloc: page=P pfn=N order=2 migratetype=0 gfp_flags=GFP_KERNEL',
    'mm_page_free: page=P pfn=N order=2',
  ]);
  assert.match(trace, /^# entries-in-buffer\/entries-written: 7\/7 {3}#P:1$/m);
});

/** Replays the lines of mtrace1 in a Map; throws what a reader would. */
function check(trace: string): { live: number; objects: number } {
  const live = new Map<number, number>();
  let next = 0;
  for (const line of events(trace)) {
    const [letter, id, size] = line.split(' ');
    if ('acm'.includes(letter)) {
      assert.equal(Number(id), next++);
      live.set(Number(id), Number(size));
    } else {
      assert.ok(live.has(Number(id)), line);
      if (letter === 'f') live.delete(Number(id));
      else live.set(Number(id), Number(size));
    }
  }
  return { live: [...live.values()].reduce((a, b) => a + b, 0), objects: live.size };
}

test('three ends of one heap give one order without implied frees, whoever frees what', () => {
  const heap = smallHeap();
  const ends = [heap, Heap.attach(heap.handle), Heap.attach(heap.handle)];
  const random = new Random(3);
  const live: number[] = [];
  const recording = recorded(ends, () => {
    for (let i = 0; i < 5000; i++) {
      const end = ends[random.below(3)];
      const at = random.below(Math.max(1, live.length));
      if (live.length > 200 || (live.length > 0 && random.oneIn(3))) {
        const [victim] = live.splice(at, 1);
        end.kfree(victim);
      } else if (live.length > 0 && random.oneIn(4)) {
        live[at] = end.krealloc(live[at], random.between(1, 900));
      } else live.push(end.kmalloc(random.between(1, 900)));
    }
  });
  assert.equal(recording.parts.length, 3);
  const trace = formatMtrace1(recording);
  const header = headerOf(trace);
  assert.equal(header['implied-frees'], '0');
  assert.equal(header['dropped-unknown-frees'], '0');
  assert.equal(header.threads, '3');
  const end = check(trace);
  assert.deepEqual(
    [header['end-live-objects'], header['end-live-bytes']],
    [String(end.objects), String(end.live)],
  );
  assert.equal(end.objects, live.length);
});

test('recordings of several heaps are told apart; a cut last line is left out', () => {
  const heaps = [smallHeap(), smallHeap()];
  const texts = heaps.map((heap, i) => {
    const recording = heap.record();
    for (let k = 0; k <= i; k++) heap.kmalloc(10 + k);
    return recording.stop();
  });
  const cut = texts[1].slice(0, -5);
  const all = recordingsByHeap([texts[0], cut]);
  assert.deepEqual(
    all.map((recording) => events(formatMtrace1(recording))),
    [['a 0 10 0'], ['a 0 10 0']],
  );
  assert.throws(() => recordingsByHeap(['no recording']), SlabError);
  assert.equal(events(formatMtrace1({ heap: 1, pageSize: 4096, parts: [] })).length, 0);
});

test('text goes to a function in whole lines, and names who called', () => {
  const heap = smallHeap();
  const pieces: string[] = [];
  const recording = heap.record({ write: (text) => void pieces.push(text), callSites: true });
  function allocateHere(): void {
    heap.kmalloc(30);
  }
  for (let i = 0; i < 200; i++) allocateHere();
  assert.ok(pieces.length > 2 && pieces.every((piece) => piece.endsWith('\n')));
  assert.equal(recording.stop(), '');
  assert.equal(recording.stop(), '');
  heap.kmalloc(30);
  const [trace] = recordingsByHeap([pieces.join('')]);
  const lines = events(formatFtrace(trace));
  assert.equal(lines.length, 200);
  assert.ok(
    lines.every((line) => /call_site=allocateHere@recording\.test\.[jt]s:\d+ ptr=/.test(line)),
    lines[0],
  );
});

test('a function that throws ends the recording, not the operation that it was told of', () => {
  const heap = smallHeap();
  const error = new Error('the disk is full');
  let calls = 0;
  const recording = heap.record({
    write: () => {
      calls++;
      throw error;
    },
  });
  const all = Array.from({ length: 300 }, (_, i) => heap.kmalloc(30, i % 2 === 0 ? 0 : GFP.NOWAIT));
  assert.ok(all.every((address) => address !== 0));
  assert.equal(calls, 1, 'the recording has ended');
  for (const address of all) heap.kfree(address);
  assert.throws(() => recording.flush(), error);
  assert.throws(() => recording.stop(), error);
  assert.throws(() => recording.stop(), error);
  assert.equal(calls, 1);
  assert.equal(heap.meminfo().live, 0);
  assert.deepEqual(heap.validate(), []);
  thrownBy(TypeError, () => heap.record({ write: wrong('a function') }));
});

test('a detached heap records nothing', () => {
  const heap = smallHeap();
  heap.detach();
  thrownBy('ESHUTDOWN', () => heap.record());
});
