/**
 * `npm run bench:exposed [-- ROUNDS]`: what it costs a program that its heap is exposed and looked at.
 *
 *     alone      a replay of a trace on two threads
 *     exposed    the same with `--expose`, and nobody asks
 *     watched    somebody asks for a snapshot every half second, as the inspector's page does
 *     pressed    somebody asks again as soon as there is an answer
 *
 * Rounds of all four take turns; of each the median of events a second counts. The second table: what one snapshot costs the
 * thread that answers, for heaps of several sizes, each full of objects of 16 bytes to 8 KiB of which 3 in 10 were freed again.
 */

import { spawn } from 'node:child_process';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { connect } from '@modslab/cli/expose';
import { readView, ViewReader } from 'modslab/inspect';
import { fullHeap } from './fullHeap.ts';

const ROUNDS = 7;
const PAGE_MS = 500;
const MODSLAB: string = fileURLToPath(new URL('../../packages/cli/bin/modslab.js', import.meta.url));
const TRACE: string = fileURLToPath(new URL('../../packages/cli/traces/rsyslogd.mtrace.gz', import.meta.url));

type Watching = 'alone' | 'exposed' | 'watched' | 'pressed';
const KINDS: readonly Watching[] = ['alone', 'exposed', 'watched', 'pressed'];

/** Asks for snapshots until the program ends; how many. */
async function watch(address: string, pauseMs: number): Promise<number> {
  let asked = 0;
  try {
    const heap = await connect(address);
    for (; ; asked++) {
      await heap.snapshot();
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  } catch {
    return asked;
  }
}

/** Events a second of one replay, and snapshots that were asked for. */
async function replay(kind: Watching): Promise<{ rate: number; snapshots: number }> {
  const args = ['replay', '--json', '--threads', '2', ...(kind === 'alone' ? [] : ['--expose']), TRACE];
  const child = spawn(process.execPath, [MODSLAB, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let snapshots: Promise<number> = Promise.resolve(0);
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    const address = /exposed at (\S+)/.exec(text)?.[1];
    if (address === undefined || kind === 'exposed') return;
    snapshots = watch(address, kind === 'watched' ? PAGE_MS : 0);
  });
  await new Promise((resolve) => child.once('close', resolve));
  return {
    rate: (JSON.parse(out) as { eventsPerSecond: number }).eventsPerSecond,
    snapshots: await snapshots,
  };
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >>> 1];

async function replays(rounds: number): Promise<void> {
  const rates = new Map<Watching, number[]>(KINDS.map((kind) => [kind, []]));
  const counts = new Map<Watching, number>();
  for (let round = 0; round < rounds; round++) {
    for (const kind of KINDS) {
      const { rate, snapshots } = await replay(kind);
      rates.get(kind)?.push(rate);
      counts.set(kind, (counts.get(kind) ?? 0) + snapshots);
    }
  }
  const alone = median(rates.get('alone') ?? []);
  console.log(
    '| replay of rsyslogd, 2 threads | events/s, median | of alone | snapshots a replay |\n|---|--:|--:|--:|',
  );
  for (const kind of KINDS) {
    const rate = median(rates.get(kind) ?? []);
    const asked = ((counts.get(kind) ?? 0) / rounds).toFixed(1);
    console.log(`| ${kind} | ${Math.round(rate)} | ${Math.round((100 * rate) / alone)} % | ${asked} |`);
  }
}

/** The least of several times, in milliseconds. */
function least(act: () => unknown): number {
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 8; i++) {
    const began = performance.now();
    act();
    best = Math.min(best, performance.now() - began);
  }
  return best;
}

function snapshots(): void {
  console.log(
    '\n| heap | snapshot | taking it, ms | reading it, ms | its frames, ms |\n|---|--:|--:|--:|--:|',
  );
  for (const mib of [16, 128, 1024]) {
    const { heap } = fullHeap(mib * 2 ** 20);
    const bytes = heap.snapshot({ data: false });
    const reader = new ViewReader();
    const { view } = readView(bytes);
    const times = [
      least(() => heap.snapshot({ data: false })),
      least(() => reader.read(bytes)),
      least(() => view.figures(view.frames())),
    ];
    const cells = times.map((ms) => ms.toFixed(1)).join(' | ');
    console.log(`| ${mib} MiB | ${(bytes.length / 2 ** 20).toFixed(2)} MiB | ${cells} |`);
    heap.detach();
  }
}

await replays(Math.max(1, Math.floor(Number(process.argv[2] ?? ROUNDS))));
snapshots();
