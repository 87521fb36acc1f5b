/**
 * What `top` and `info` look at: a heap that a program exposes (a running replay with `--expose` is one), or a snapshot in a
 * file. Either gives snapshots, of which images are made; nothing else is asked of a program, and nothing is changed in it.
 */
import { readFileSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { SlabError } from 'modslab';
import { type HeapImage, openSnapshot } from 'modslab/stat';
import { connect, LiveError, type LiveHeap } from '../live/client.ts';
import { printable } from '../trace/errors.ts';

/** There is nothing to look at. One line; the status is 2. */
export class LookError extends Error {}

/** A heap to look at. */
export interface Look {
  /** What it is called. */
  readonly name: string;
  /** A file: it does not change. */
  readonly isFile: boolean;
  /** The heap as it is now. Rejects with a `LookError` if the program has ended. */
  image(): Promise<HeapImage>;
  /** The snapshot that the last image was made of. */
  readonly bytes: Uint8Array;
  /** For what only a running program can do. */
  readonly live: LiveHeap | undefined;
  close(): void;
}

const GZIP = 0x8b1f;

function isFile(target: string): boolean {
  try {
    return !statSync(target).isSocket();
  } catch {
    return false;
  }
}

/** Errors of the outside world become a line; others are bugs. */
function asLookError(what: string, error: unknown): Error {
  const isKnown =
    error instanceof SlabError ||
    error instanceof LiveError ||
    (error instanceof Error && 'code' in error && typeof error.code === 'string');
  if (!isKnown) return error instanceof Error ? error : new Error(String(error));
  return new LookError(`${printable(what)}: ${printable(error.message)}`);
}

function openFile(file: string): Look {
  let bytes: Uint8Array;
  let image: HeapImage;
  try {
    const read = readFileSync(file);
    bytes = read.length > 1 && read.readUInt16LE() === GZIP ? gunzipSync(read) : read;
    image = openSnapshot(bytes);
  } catch (error) {
    throw asLookError(file, error);
  }
  return {
    name: basename(file),
    isFile: true,
    image: () => Promise.resolve(image),
    bytes,
    live: undefined,
    close: () => {},
  };
}

class LiveLook implements Look {
  readonly name: string;
  readonly isFile = false;
  readonly live: LiveHeap;
  bytes: Uint8Array = new Uint8Array(0);

  constructor(live: LiveHeap) {
    this.live = live;
    this.name = `${live.info.name} (process ${live.info.pid})`;
  }

  async image(): Promise<HeapImage> {
    try {
      this.bytes = await this.live.snapshot();
      return openSnapshot(this.bytes);
    } catch (error) {
      throw asLookError(this.name, error);
    }
  }

  close(): void {
    this.live.close();
  }
}

/** Opens what `target` names; undefined: the only heap that this user's programs expose. Throws `LookError`. */
export async function openLook(target: string | undefined): Promise<Look> {
  if (target !== undefined && isFile(target)) return openFile(target);
  const mayBeLive = target === undefined || /^(\d+|https?:.*|.*[.]sock)$/i.test(target);
  if (!mayBeLive) throw new LookError(`${printable(target ?? '')}: no such file or socket`);
  try {
    return new LiveLook(await connect(target));
  } catch (error) {
    throw asLookError(target ?? 'modslab', error);
  }
}
