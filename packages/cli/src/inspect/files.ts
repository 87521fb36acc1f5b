/** Files as sources of the inspector: snapshots and traces, told apart by how they begin, plain or gzipped. */
import { open, readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import process from 'node:process';
import { createGunzip, gunzipSync } from 'node:zlib';
import { SlabError } from 'modslab';
import { readView } from 'modslab/inspect';
import { encodeTrace } from '../inspector/model/traceFile.ts';
import { LiveError } from '../live/client.ts';
import { type LiveInfo, PROTOCOL } from '../live/protocol.ts';
import { heapOptionsFor } from '../replay/run.ts';
import { readTrace } from '../trace/source.ts';
import type { InspectSource } from './serve.ts';

/** How a snapshot begins. */
const SNAPSHOT_START = 'MSSN';
const GZIP_START = '\x1f\x8b';

const infoOf = (file: string, kind: LiveInfo['kind']): LiveInfo => ({
  protocol: PROTOCOL,
  name: basename(file),
  pid: process.pid,
  node: process.version,
  since: Date.now(),
  writable: false,
  leaks: false,
  kind,
});

/** The first `length` bytes of a file, unzipped if need be. */
async function startOf(file: string, length: number): Promise<string> {
  const handle = await open(file);
  try {
    const stream = handle.createReadStream({ autoClose: false, end: 4095 });
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk as Buffer);
    const bytes = Buffer.concat(chunks);
    if (bytes.toString('latin1', 0, 2) !== GZIP_START) return bytes.toString('latin1', 0, length);
    return await unzippedStart(bytes, length);
  } finally {
    await handle.close();
  }
}

/** The beginning of what a piece of gzip data holds; '' if it is damaged. */
function unzippedStart(bytes: Buffer, length: number): Promise<string> {
  return new Promise((resolve) => {
    const gunzip = createGunzip();
    gunzip.once('data', (chunk: Buffer) => {
      resolve(chunk.toString('latin1', 0, length));
      gunzip.destroy();
    });
    gunzip.once('error', () => resolve(''));
    gunzip.write(bytes);
  });
}

async function readSnapshot(file: string): Promise<Uint8Array> {
  const raw = await readFile(file);
  try {
    const isZipped = raw.toString('latin1', 0, 2) === GZIP_START;
    const bytes = isZipped ? gunzipSync(raw) : raw;
    readView(bytes);
    return bytes;
  } catch (error) {
    if (error instanceof SlabError) throw new LiveError(`${file}: ${error.message}`);
    throw new LiveError(`${file}: the gzip data is damaged`);
  }
}

/** The heap or trace in a file. Rejects with `LiveError` or `TraceError`: where, what, what to do. */
export async function fileSource(file: string): Promise<InspectSource> {
  let start: string;
  try {
    start = await startOf(file, SNAPSHOT_START.length);
  } catch (error) {
    throw new LiveError(`${file}: cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
  if (start === SNAPSHOT_START) {
    const bytes = await readSnapshot(file);
    return { info: infoOf(file, 'snapshot'), snapshot: async () => bytes };
  }
  const program = await readTrace(file);
  const trace = encodeTrace(program, heapOptionsFor(program));
  return { info: infoOf(file, 'trace'), trace: () => trace };
}
