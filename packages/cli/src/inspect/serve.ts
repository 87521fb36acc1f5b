/** The server of `modslab inspect`: the page, and behind it one source of snapshots, on loopback with a token. */
import { randomBytes } from 'node:crypto';
import type { Access } from '../live/guard.ts';
import { pageRoutes } from '../live/page.ts';
import {
  INFO_PATH,
  JSON_TYPE,
  LEAKS_PATH,
  type LiveInfo,
  SHRINK_PATH,
  SNAPSHOT_PATH,
  SNAPSHOT_TYPE,
  TOKEN_KEY,
  TRACE_PATH,
} from '../live/protocol.ts';
import { createLiveServer, end, hostsOf, listen, type Route } from '../live/server.ts';

const TOKEN_BYTES = 24;

/** What is shown. What `info` does not name is not asked for. */
export interface InspectSource {
  readonly info: LiveInfo;
  snapshot?(): Promise<Uint8Array>;
  leaks?(): Promise<unknown>;
  shrink?(): Promise<number>;
  trace?(): Uint8Array;
}

export interface Served {
  /** The page, with its token. */
  readonly address: string;
  close(): Promise<void>;
}

const json = (value: unknown): { type: string; body: string } => ({
  type: JSON_TYPE,
  body: JSON.stringify(value),
});

function routesOf(source: InspectSource): Map<string, Route> {
  const { info, snapshot, leaks, shrink, trace } = source;
  const routes = new Map<string, Route>(pageRoutes());
  routes.set(INFO_PATH, { method: 'GET', answer: () => json(info) });
  if (snapshot !== undefined)
    routes.set(SNAPSHOT_PATH, {
      method: 'GET',
      answer: async () => ({ type: SNAPSHOT_TYPE, body: await snapshot() }),
    });
  if (trace !== undefined)
    routes.set(TRACE_PATH, { method: 'GET', answer: () => ({ type: SNAPSHOT_TYPE, body: trace() }) });
  if (info.leaks && leaks !== undefined)
    routes.set(LEAKS_PATH, { method: 'GET', answer: async () => json(await leaks()) });
  if (info.writable && shrink !== undefined)
    routes.set(SHRINK_PATH, { method: 'POST', answer: async () => json({ slabs: await shrink() }) });
  return routes;
}

/** Serves the page on 127.0.0.1, at `port` or a free one. */
export async function serveInspector(source: InspectSource, port: number): Promise<Served> {
  const token = randomBytes(TOKEN_BYTES).toString('base64url');
  let access: Access = { hosts: [], token };
  const server = createLiveServer(routesOf(source), () => access);
  await listen(server, { host: '127.0.0.1', port });
  access = { hosts: hostsOf(server), token };
  return { address: `http://${access.hosts[0]}/#${TOKEN_KEY}=${token}`, close: () => end(server) };
}
