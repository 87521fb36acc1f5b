/** Where the inspector has its heap from: a heap of this page, a snapshot, or a server on this machine. */
import type { Heap } from 'modslab';
import {
  INFO_PATH,
  LEAKS_PATH,
  type LiveInfo,
  PROTOCOL,
  SHRINK_PATH,
  SNAPSHOT_PATH,
  TRACE_PATH,
} from '../../live/protocol.ts';
import { decodeTrace, type Trace } from './traceFile.ts';

/** A heap that can be looked at. */
export interface HeapSource {
  /** What it is called. */
  readonly name: string;
  /** One line more: process, version, file. */
  readonly detail?: string;
  /** Whether its snapshots change from one to the next. */
  readonly isLive: boolean;
  /** A snapshot of the heap as it is now, as `heap.snapshot({ data: false })` gives it. */
  snapshot(): Promise<Uint8Array> | Uint8Array;
  /** Live objects by who allocated them, where that is tracked. */
  leaks?(): Promise<unknown> | unknown;
  /** Gives back what is cached, where that is allowed; slabs released. */
  shrink?(): Promise<number> | number;
  /** A trace to be run and scrubbed; `snapshot` is not asked then. */
  readonly trace?: Trace;
}

/** A heap of this page. */
export function heapSource(heap: Heap, name = 'heap'): HeapSource {
  return {
    name,
    isLive: true,
    snapshot: () => heap.snapshot({ data: false }),
    shrink: () => heap.shrink(),
    ...('leaks' in heap ? { leaks: () => (heap as unknown as { leaks(): unknown }).leaks() } : {}),
  };
}

/** A snapshot. */
export const snapshotSource = (bytes: Uint8Array, name = 'snapshot'): HeapSource => ({
  name,
  isLive: false,
  snapshot: () => bytes,
});

/** What makes a request; `fetch` in a page. */
export type Fetch = (
  path: string,
  options: { method: string; headers: Record<string, string> },
) => Promise<Response>;

/** A server refused, or does not answer. */
export class SourceError extends Error {}

/** The heap that the page's own server shows (live/protocol.ts). Rejects with `SourceError`. */
export async function serverSource(token: string, fetch: Fetch): Promise<HeapSource> {
  const ask = async (path: string, method = 'GET'): Promise<Response> => {
    const headers = { authorization: `Bearer ${token}` };
    const answer = await fetch(path, { method, headers }).catch(() => {
      throw new SourceError('the program does not answer: it has ended, or is busy');
    });
    if (!answer.ok) throw new SourceError((await answer.text()).trim() || `status ${answer.status}`);
    return answer;
  };
  const bytes = async (path: string): Promise<Uint8Array> =>
    new Uint8Array(await (await ask(path)).arrayBuffer());
  const info = (await (await ask(INFO_PATH)).json()) as LiveInfo;
  if (info.protocol !== PROTOCOL)
    throw new SourceError(
      `the program speaks version ${info.protocol}, this page ${PROTOCOL}: use one version`,
    );
  const source: HeapSource = {
    name: info.name,
    detail: info.kind === 'live' ? `process ${info.pid}, Node ${info.node}` : info.kind,
    isLive: info.kind === 'live',
    snapshot: () => bytes(SNAPSHOT_PATH),
    ...(info.leaks ? { leaks: async () => (await ask(LEAKS_PATH)).json() } : {}),
    ...(info.writable
      ? { shrink: async () => ((await (await ask(SHRINK_PATH, 'POST')).json()) as { slabs: number }).slabs }
      : {}),
  };
  return info.kind === 'trace' ? { ...source, trace: decodeTrace(await bytes(TRACE_PATH)) } : source;
}
