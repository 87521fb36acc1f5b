/**
 * Recordings: what one thread does on a heap, as text that stat/recordedTrace.ts puts together with that of the other threads.
 * The first line says of which heap it is, then a line an operation:
 *
 *     # modslab-recording 1 heap=H pageSize=P
 *     PLACE OP EVENT ADDRESS FROM VACATED REQUESTED ALLOCATED GFP ALIGN CPU TIME CACHE CALL-SITE
 *
 * separated by tabs. OP: `a` an allocation, `f` a free, `r` a realloc (in place, or of the object at FROM, which was given up
 * at VACATED). PLACE orders the operations of all threads (kmalloc/tracing.ts), modulo 2^32; TIME is in milliseconds.
 */

import { heapNumber, type Metadata } from '../memory/metadata.ts';
import { framesOf, StackMemo } from '../slab/callStack.ts';
import type { TraceDetail, TraceEvent, TraceRecorder, Tracing } from './tracing.ts';

export interface RecordOptions {
  /**
   * Where the text goes, in pieces of whole lines; without, `stop` returns it. Must not call the heap. If it throws inside an
   * operation of the heap, that goes on, the recording ends, and `stop` and `flush` throw the error.
   */
  write?: (text: string) => void;
  /** Note who called: costs some microseconds an operation. Default: false. */
  callSites?: boolean;
}

/** Characters that are collected before they are written. */
const PIECE = 4096;

/** Frames that are looked through for one that is not modslab's. */
const CALL_SITE_DEPTH = 18;

/** The innermost frame of a stack that is not modslab's: `name@file:line`; '' where the engine shows none. */
function callSiteOf(text: string): string {
  const frame = framesOf(text, CALL_SITE_DEPTH).find((candidate) => /:\d+/.test(candidate));
  if (frame === undefined) return '';
  const [, name = '', place = frame] = /^(?:async )?(.*) \((.*)\)$/.exec(frame) ?? [];
  const file = place.replace(/^.*[/\\]/, '').replace(/(:\d+):\d+$/, '$1');
  return `${name.replaceAll(/\s/g, '_') || 'anonymous'}@${file}`;
}

/** A recording of this thread that is under way. */
export class Recording implements TraceRecorder {
  private readonly tracing: Tracing;
  private readonly write: ((text: string) => void) | undefined;
  private readonly callSites: StackMemo<string> | undefined;
  private readonly pieces: string[] = [];
  private text: string;
  private isOver = false;
  /** What `write` has thrown. */
  private failure: { readonly error: unknown } | undefined;

  constructor(metadata: Metadata, tracing: Tracing, options: RecordOptions) {
    if (options.write !== undefined && typeof options.write !== 'function')
      throw new TypeError('write is a function');
    this.tracing = tracing;
    this.write = options.write;
    this.callSites = options.callSites === true ? new StackMemo() : undefined;
    const pageSize = 2 ** metadata.layout.pageShift;
    this.text = `# modslab-recording 1 heap=${heapNumber(metadata)} pageSize=${pageSize}\n`;
    tracing.addRecorder(this);
  }

  record(told: TraceEvent, { place, align, from, vacated }: TraceDetail): void {
    const op = from !== 0 ? 'r' : told.event.endsWith('free') ? 'f' : 'a';
    const { event, address, requested, allocated, gfp, cpu, time, cache = '' } = told;
    const site = this.callSites?.of(CALL_SITE_DEPTH, callSiteOf) ?? '';
    this.text += `${place}\t${op}\t${event}\t${address}\t${from}\t${vacated}\t${requested}\t${allocated}\t${gfp}\t${align}\t${cpu}\t${time}\t${cache}\t${site}\n`;
    if (this.text.length < PIECE) return;
    try {
      this.flush();
    } catch (error) {
      // The operation has happened: what it gave must reach its caller.
      this.failure = { error };
      this.end();
    }
  }

  /** Hands on what has been collected. Throws what `write` throws, and has thrown. */
  flush(): void {
    if (this.failure !== undefined) throw this.failure.error;
    if (this.write === undefined) this.pieces.push(this.text);
    else if (this.text !== '') this.write(this.text);
    this.text = '';
  }

  /** Ends the recording; its text, or what has not gone to `write`: ''. A second call changes nothing. Throws as `flush`. */
  stop(): string {
    if (!this.isOver || this.failure !== undefined) {
      this.end();
      this.flush();
    }
    return this.pieces.join('');
  }

  private end(): void {
    this.isOver = true;
    this.tracing.removeRecorder(this);
  }
}
