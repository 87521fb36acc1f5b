/**
 * The HTTP server of exposed heaps and of `modslab inspect`: routes behind the guard, on a Unix socket or on loopback.
 *
 * It is small on purpose. One answer is made at a time and in one piece; requests have neither body nor query; a client that
 * sends slowly, or does not read, is dropped. Whatever a route throws becomes one line of text.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { type Access, HEAD_MAX, type Refusal, refuse } from './guard.ts';

/** What a route gives back. */
export interface Answer {
  readonly status?: number;
  /** Content type. */
  readonly type: string;
  readonly body: string | Uint8Array;
}

/** What is at a path. */
export interface Route {
  readonly method: 'GET' | 'POST';
  /** Answered without a token. */
  readonly isPublic?: boolean;
  answer(): Answer | Promise<Answer>;
}

export type Routes = ReadonlyMap<string, Route>;

/** Connections at once; more are closed as they come. */
const CONNECTIONS_MAX = 32;
/** Answers under way at once, each of which may hold a snapshot in memory; more are told to come again. */
const ANSWERS_MAX = 4;
/** How long a request's head may take, in milliseconds, and how long a client may leave an answer unread. */
const HEAD_MS = 5000;
const IDLE_MS = 20_000;

/**
 * What every answer says: nothing of it may be kept, framed, guessed at or loaded by others, and a page of ours loads nothing
 * from elsewhere.
 */
const HEADERS: Readonly<Record<string, string>> = {
  'cache-control': 'no-store',
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'cross-origin-embedder-policy': 'require-corp',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};

const PLAIN = 'text/plain; charset=utf-8';

function send(response: ServerResponse, answer: Answer, isHead: boolean): void {
  const body = typeof answer.body === 'string' ? Buffer.from(answer.body) : answer.body;
  const headers: Record<string, string | number> = {
    ...HEADERS,
    'content-type': answer.type,
    'content-length': body.byteLength,
  };
  if (answer.status === 503) headers['retry-after'] = 1;
  response.writeHead(answer.status ?? 200, headers);
  response.end(isHead ? undefined : body);
}

const refused = ({ status, message }: Refusal): Answer => ({ status, type: PLAIN, body: `${message}\n` });

/** The path of a request, which is all of its address. */
function pathOf(request: IncomingMessage): string {
  return request.url ?? '';
}

/** Makes the server; `listen` starts it. */
export function createLiveServer(routes: Routes, access: () => Access): Server {
  let underWay = 0;
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const route = routes.get(pathOf(request));
    const methods = route?.method === 'GET' ? ['GET', 'HEAD'] : route && ['POST'];
    const refusal = refuse(request, access(), methods, route?.isPublic === true);
    const isHead = request.method === 'HEAD';
    if (refusal !== undefined || route === undefined) {
      // What it sends on is not read.
      response.shouldKeepAlive = false;
      return send(response, refused(refusal ?? { status: 404, message: 'nothing' }), isHead);
    }
    if (underWay >= ANSWERS_MAX)
      return send(response, refused({ status: 503, message: 'too many at once' }), isHead);
    underWay++;
    response.once('close', () => underWay--);
    try {
      send(response, await route.answer(), isHead);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      const status = (error as { code?: unknown }).code === 'ESHUTDOWN' ? 410 : 500;
      send(response, refused({ status, message }), isHead);
    }
  };
  const options = { maxHeaderSize: HEAD_MAX, headersTimeout: HEAD_MS, requestTimeout: HEAD_MS };
  const server = createServer({ ...options, connectionsCheckingInterval: 1000 }, (request, response) => {
    void handle(request, response);
  });
  server.maxConnections = CONNECTIONS_MAX;
  server.on('connection', (socket: Socket) => socket.setTimeout(IDLE_MS, () => socket.destroy()));
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    const status =
      error.code === 'HPE_HEADER_OVERFLOW' ? '431 Request Header Fields Too Large' : '400 Bad Request';
    if (socket.writable) socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
    else socket.destroy();
  });
  // Nothing here is upgraded, and CONNECT is no way through.
  server.on('upgrade', (_request, socket) => socket.destroy());
  server.on('connect', (_request, socket) => socket.destroy());
  return server;
}

/** Starts a server; rejects as `listen` fails. */
export function listen(server: Server, at: string | { host: string; port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(at, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** Ends a server, with the connections that it has. */
export function end(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

/** Values of `Host` that name a server on loopback. */
export function hostsOf(server: Server): string[] {
  const { port } = server.address() as AddressInfo;
  return [`127.0.0.1:${port}`, `localhost:${port}`];
}
