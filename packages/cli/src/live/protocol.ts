/**
 * What goes between a program that exposes its heap and whoever looks: a few HTTP requests, the same over a Unix socket and over
 * loopback.
 *
 *     GET  /v1/info       what runs there: `LiveInfo`, JSON
 *     GET  /v1/snapshot   a snapshot of the heap without its data: the metadata, nothing that the application has written
 *     GET  /v1/leaks      live objects by who allocated them, JSON; where the heap tracks them
 *     POST /v1/shrink     heap.shrink(): `{ "slabs": n }`; where the program allows it
 *
 * Over loopback every request carries `Authorization: Bearer TOKEN`. A socket needs none: its folder lets nobody else in.
 */

/** Version of the protocol, in the paths and in `LiveInfo`. */
export const PROTOCOL = 1;

export const INFO_PATH = '/v1/info';
export const SNAPSHOT_PATH = '/v1/snapshot';
export const LEAKS_PATH = '/v1/leaks';
export const SHRINK_PATH = '/v1/shrink';
/** The rows of a trace, where `modslab inspect` shows one (inspector/model/traceFile.ts). */
export const TRACE_PATH = '/v1/trace';

/** How a token stands in an address that can be opened: `http://127.0.0.1:4711/#token=…`. Fragments are never sent. */
export const TOKEN_KEY = 'token';

/** What the page and the terminal views show of the program itself. */
export interface LiveInfo {
  protocol: number;
  /** What it is called: `expose(heap, { name })`, or the program's script. */
  name: string;
  pid: number;
  /** `v20.20.2`. */
  node: string;
  /** When the heap was exposed, in milliseconds since 1970. */
  since: number;
  /** Whether `POST` requests are answered. */
  writable: boolean;
  /** Whether there is `/v1/leaks`. */
  leaks: boolean;
  /** What is served: a running heap, a file's snapshot, a trace to scrub. */
  kind: 'live' | 'snapshot' | 'trace';
}

export const JSON_TYPE = 'application/json; charset=utf-8';
export const SNAPSHOT_TYPE = 'application/octet-stream';
