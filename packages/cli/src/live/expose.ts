/**
 * `expose(heap)`: this program serves its heap's figures, to its own user.
 *
 * Nothing is served until it is called. By default there is a Unix socket that the user alone can reach (sockets.ts); with
 * `port`, loopback with a random token, which a browser can open too. What is served is the metadata: which objects there are,
 * not what is in them. Nothing can be changed from outside unless `writable` says so.
 *
 * A request costs this thread one copy of the metadata that is in use (docs/inspect-page.md has figures); nobody else notices,
 * and nothing is done while nobody asks.
 */
import { randomBytes } from 'node:crypto';
import type { Server } from 'node:http';
import { basename } from 'node:path';
import process from 'node:process';
import type { Heap } from 'modslab';
import type { Access } from './guard.ts';
import { pageRoutes } from './page.ts';
import {
  INFO_PATH,
  JSON_TYPE,
  LEAKS_PATH,
  type LiveInfo,
  PROTOCOL,
  SHRINK_PATH,
  SNAPSHOT_PATH,
  SNAPSHOT_TYPE,
  TOKEN_KEY,
} from './protocol.ts';
import { createLiveServer, end, hostsOf, listen, type Route, type Routes } from './server.ts';
import { checkPath, closeToOthers, freeSocketPath, removeSocket, socketsMissing } from './sockets.ts';

/** Bytes of a random token. */
const TOKEN_BYTES = 24;
const PORT_MAX = 65_535;

export interface ExposeOptions {
  /** The socket's path; its folder must be the user's alone (mode 0700). Default: a name in the user's folder. */
  socket?: string;
  /** Serve on 127.0.0.1 instead, on this port; 0: a free one. */
  port?: number;
  /** What the heap is called where it is shown. Default: the program's script. */
  name?: string;
  /** Let those who may look also call `heap.shrink()`. Default false. */
  writable?: boolean;
  /** Keep the program running while the heap is exposed. Default false. */
  keepAlive?: boolean;
}

/** A heap that is being served. */
export interface Exposed {
  /** What `modslab top`, `info` and `inspect` take: the socket's path, or an address with its token. */
  readonly address: string;
  /** Ends it: nothing is served any more, and the socket is gone. */
  close(): Promise<void>;
}

function checkOptions(options: ExposeOptions): void {
  if (typeof options !== 'object' || options === null)
    throw new TypeError(`expose: the options are an object, not ${String(options)}`);
  const { socket, port, name } = options;
  if (socket !== undefined && port !== undefined)
    throw new TypeError('expose: give a socket or a port, not both');
  if (socket !== undefined && (typeof socket !== 'string' || socket === ''))
    throw new TypeError('expose: socket is a path');
  if (port !== undefined && !(Number.isInteger(port) && port >= 0 && port <= PORT_MAX))
    throw new RangeError(`expose: port is a whole number from 0 to ${PORT_MAX}, not ${port}`);
  if (name !== undefined && typeof name !== 'string') throw new TypeError('expose: name is a string');
}

const json = (value: unknown): { type: string; body: string } => ({
  type: JSON_TYPE,
  body: JSON.stringify(value),
});

/** What a heap that tracks its objects has; the others do not. */
interface Tracking {
  leaks?(): unknown;
}

function routesOf(heap: Heap, options: ExposeOptions): Map<string, Route> {
  const tracking = heap as Tracking;
  const info: LiveInfo = {
    protocol: PROTOCOL,
    name: options.name ?? basename(process.argv[1] ?? process.title),
    pid: process.pid,
    node: process.version,
    since: Date.now(),
    writable: options.writable === true,
    leaks: typeof tracking.leaks === 'function',
    kind: 'live',
  };
  const routes = new Map<string, Route>();
  routes.set(INFO_PATH, { method: 'GET', answer: () => json(info) });
  routes.set(SNAPSHOT_PATH, {
    method: 'GET',
    answer: () => ({ type: SNAPSHOT_TYPE, body: heap.snapshot({ data: false }) }),
  });
  if (info.leaks) routes.set(LEAKS_PATH, { method: 'GET', answer: () => json(tracking.leaks?.()) });
  if (info.writable)
    routes.set(SHRINK_PATH, { method: 'POST', answer: () => json({ slabs: heap.shrink() }) });
  return routes;
}

/** Serves the figures of `heap`. Rejects where the place is not the user's alone, or is taken. */
export async function expose(heap: Heap, options: ExposeOptions = {}): Promise<Exposed> {
  // A heap of any copy of modslab, and what looks like one.
  if (typeof (heap as Partial<Heap> | undefined)?.snapshot !== 'function')
    throw new TypeError(`expose: the first argument is a heap, not ${String(heap)}`);
  checkOptions(options);
  const routes = routesOf(heap, options);
  const served =
    options.port === undefined ? await onSocket(routes, options) : await onLoopback(routes, options.port);
  if (options.keepAlive !== true) served.server.unref();
  return { address: served.address, close: served.close };
}

interface Served extends Exposed {
  readonly server: Server;
}

async function onSocket(routes: Routes, options: ExposeOptions): Promise<Served> {
  const missing = socketsMissing();
  if (missing !== undefined) throw new Error(missing);
  const path = options.socket === undefined ? freeSocketPath() : checkPath(options.socket);
  const access: Access = { hosts: ['localhost'], token: undefined };
  const server = createLiveServer(routes, () => access);
  await listen(server, path);
  closeToOthers(path);
  const remove = (): void => removeSocket(path);
  process.once('exit', remove);
  const close = async (): Promise<void> => {
    process.off('exit', remove);
    await end(server);
    remove();
  };
  return { address: path, server, close };
}

async function onLoopback(routes: Map<string, Route>, port: number): Promise<Served> {
  const token = randomBytes(TOKEN_BYTES).toString('base64url');
  for (const [path, route] of pageRoutes()) routes.set(path, route);
  let access: Access = { hosts: [], token };
  const server = createLiveServer(routes, () => access);
  await listen(server, { host: '127.0.0.1', port });
  access = { hosts: hostsOf(server), token };
  const address = `http://${access.hosts[0]}/#${TOKEN_KEY}=${token}`;
  return { address, server, close: () => end(server) };
}
