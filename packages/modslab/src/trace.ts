/**
 * Traces of what a program does on its heaps: what `heap.on` tells, and recordings as traces that `modslab replay` reads.
 *
 *     const recording = heap.record();
 *     …
 *     const [trace] = recordingsByHeap([recording.stop(), …those of other threads]);
 *     writeFileSync('program.mtrace', formatMtrace1(trace));
 *
 * @packageDocumentation
 */

export type { Recording, RecordOptions } from './kmalloc/recording.ts';
export type { TraceEvent, TraceEventName, TraceListener } from './kmalloc/tracing.ts';
export {
  type AboutTrace,
  formatFtrace,
  formatMtrace1,
  type HeapRecording,
  recordingsByHeap,
} from './stat/recordedTrace.ts';
