/**
 * The other end of `expose`: a heap of another program, looked at over its socket or over loopback.
 *
 *     connect('/run/user/1000/modslab/4711-0.sock')      a socket
 *     connect('4711')                                    the socket of this process
 *     connect('http://127.0.0.1:8080/#token=…')          what the program printed
 *     connect()                                          the only exposed heap of this user
 */
import { Agent, type IncomingMessage, type RequestOptions, request } from 'node:http';
import {
  INFO_PATH,
  LEAKS_PATH,
  type LiveInfo,
  PROTOCOL,
  SHRINK_PATH,
  SNAPSHOT_PATH,
  TOKEN_KEY,
} from './protocol.ts';
import { listSockets } from './sockets.ts';

/** A heap cannot be reached, or does not answer as one. The message says what to do. */
export class LiveError extends Error {}

/** Largest answer that is taken, in bytes: the metadata of a heap of 4 GiB that is full of the smallest objects. */
const ANSWER_MAX: number = 2 ** 30;
/** How long an answer may take, in milliseconds; a program that is busy answers when it next comes to its event loop. */
const ANSWER_MS = 30_000;

/** A heap of another program. */
export interface LiveHeap {
  /** What the program said about itself when the connection was made. */
  readonly info: LiveInfo;
  /** A snapshot of the metadata, as `Heap.restore` takes it. */
  snapshot(): Promise<Uint8Array>;
  /** Live objects by who allocated them, as `heap.leaks()` gives them; undefined where the heap does not track them. */
  leaks(): Promise<unknown>;
  /** Asks the program to give what it has cached back; slabs released. Rejects unless the program allows it. */
  shrink(): Promise<number>;
  close(): void;
}

/** Where a target is, in the terms of node:http. */
export type Place = Pick<RequestOptions, 'socketPath' | 'host' | 'port' | 'headers'>;

/** Where `target` is. Throws `LiveError` where it names nothing. */
export function placeOf(target: string | undefined): Place {
  if (target === undefined) return theOnlySocket();
  if (/^https?:/i.test(target)) return placeOfUrl(target);
  if (/^\d+$/.test(target)) {
    const entry = listSockets().find(({ pid }) => pid === Number(target));
    if (entry === undefined)
      throw new LiveError(`process ${target} exposes no heap: it must call expose(heap)`);
    return socketPlace(entry.path);
  }
  return socketPlace(target);
}

const socketPlace = (socketPath: string): Place => ({ socketPath, headers: { host: 'localhost' } });

function theOnlySocket(): Place {
  const entries = listSockets();
  if (entries.length === 1) return socketPlace(entries[0].path);
  if (entries.length === 0)
    throw new LiveError('no program of this user exposes a heap: it must call expose(heap), or name a file');
  const pids = entries.map(({ path }) => path).join(' ');
  throw new LiveError(`several heaps are exposed, name one: ${pids}`);
}

function placeOfUrl(text: string): Place {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new LiveError(`not an address: ${text}`);
  }
  const isLoopback = ['127.0.0.1', 'localhost', '[::1]'].includes(url.hostname);
  if (url.protocol !== 'http:' || !isLoopback)
    throw new LiveError(`heaps are exposed on this machine only, as http://127.0.0.1:PORT/#token=…: ${text}`);
  const token = new URLSearchParams(url.hash.slice(1)).get(TOKEN_KEY);
  if (token === null || !/^[\x21-\x7e]{1,256}$/.test(token))
    throw new LiveError(`the address has no token: use all of what the program printed, with #token=…`);
  const host = url.hostname === '[::1]' ? '::1' : url.hostname;
  return { host, port: Number(url.port || 80), headers: { authorization: `Bearer ${token}` } };
}

/** Connects to an exposed heap. Rejects with `LiveError`. */
export async function connect(target?: string): Promise<LiveHeap> {
  const place = placeOf(target);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const ask = (path: string, method?: 'POST'): Promise<Buffer> =>
    exchange({ ...place, agent, path, method: method ?? 'GET' }, target ?? String(place.socketPath));
  try {
    const info = JSON.parse((await ask(INFO_PATH)).toString()) as LiveInfo;
    if (info.protocol !== PROTOCOL)
      throw new LiveError(
        `it speaks version ${info.protocol}, this modslab ${PROTOCOL}: use one version of modslab`,
      );
    return {
      info,
      snapshot: () => ask(SNAPSHOT_PATH),
      leaks: async () => (info.leaks ? JSON.parse((await ask(LEAKS_PATH)).toString()) : undefined),
      shrink: async () =>
        (JSON.parse((await ask(SHRINK_PATH, 'POST')).toString()) as { slabs: number }).slabs,
      close: () => agent.destroy(),
    };
  } catch (error) {
    agent.destroy();
    if (error instanceof SyntaxError) throw new LiveError(`what answers there is no heap: ${target}`);
    throw error;
  }
}

/** One request; its answer's bytes. */
function exchange(options: RequestOptions, target: string): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const asked = request({ ...options, timeout: ANSWER_MS }, (answer) => {
      collect(answer).then((body) => {
        if (answer.statusCode === 200) resolve(body);
        else reject(new LiveError(`${target}: ${body.toString().trim() || `status ${answer.statusCode}`}`));
      }, reject);
    });
    asked.on('timeout', () => asked.destroy(new LiveError(`${target}: no answer in ${ANSWER_MS / 1000} s`)));
    asked.on('error', (error: NodeJS.ErrnoException) =>
      reject(error instanceof LiveError ? error : new LiveError(`${target}: ${whyNot(error)}`)),
    );
    asked.end();
  });
}

function whyNot(error: NodeJS.ErrnoException): string {
  const words: Record<string, string> = {
    ENOENT: 'there is no such socket',
    ENOTSOCK: 'it is no socket',
    EACCES: 'permission denied: it is of another user',
    ECONNREFUSED: 'nobody listens there any more',
    ECONNRESET: 'the program ended',
  };
  return words[error.code ?? ''] ?? error.message;
}

function collect(answer: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    answer.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      chunks.push(chunk);
      if (bytes > ANSWER_MAX) answer.destroy(new LiveError(`the answer is larger than ${ANSWER_MAX} bytes`));
    });
    answer.on('end', () => resolve(Buffer.concat(chunks)));
    answer.on('error', reject);
  });
}
