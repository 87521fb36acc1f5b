/**
 * Where the sockets of exposed heaps are: one folder a user, which nobody else can enter.
 *
 *     $XDG_RUNTIME_DIR/modslab/PID-N.sock      or, without it, TMPDIR/modslab-UID/PID-N.sock
 *
 * The folder has mode 0700 and is checked each time: it must be a folder (no link), this user's, and closed to all others. So
 * a socket cannot be reached in the instant between its making and its chmod to 0600, and a folder that somebody else has put
 * there first is refused. Names carry the process, so that those of dead ones are told, and removed.
 */
import { chmodSync, lstatSync, mkdirSync, readdirSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import process from 'node:process';

/** Access for the user alone. */
const FOLDER_MODE = 0o700;
const SOCKET_MODE = 0o600;
/** Permission bits of everybody but the user. */
const OTHERS = 0o077;
/** Bytes of a Unix socket's path (sun_path less its end), on the systems that Node runs on: Linux 107, macOS 103. */
const PATH_MAX = 103;
const NAME = /^(\d+)-(\d+)\.sock$/;

/** A socket in the folder. */
export interface SocketEntry {
  readonly pid: number;
  readonly path: string;
}

/** Why sockets do not do here, or undefined. */
export function socketsMissing(): string | undefined {
  return process.platform === 'win32' || process.getuid === undefined
    ? 'this system has no Unix sockets with permissions: expose on loopback, { port: 0 }'
    : undefined;
}

/** The folder of this user's sockets. */
export function socketFolder(): string {
  const runtime = process.env.XDG_RUNTIME_DIR;
  if (runtime !== undefined && runtime !== '' && canWrite(runtime)) return join(runtime, 'modslab');
  return join(tmpdir(), `modslab-${process.getuid?.() ?? 0}`);
}

function canWrite(folder: string): boolean {
  try {
    const { uid } = lstatSync(folder);
    return uid === process.getuid?.();
  } catch {
    return false;
  }
}

/** Makes the folder of a socket if need be, and throws unless it is this user's alone. */
export function checkFolder(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: FOLDER_MODE });
  const { mode, uid } = lstatSync(folder);
  const isFolder = lstatSync(folder).isDirectory();
  if (!isFolder || uid !== process.getuid?.())
    throw new Error(`${folder} is not a folder of this user: no socket is put there`);
  if ((mode & OTHERS) !== 0) {
    const octal = (mode & 0o777).toString(8).padStart(4, '0');
    throw new Error(`${folder} is open to others (mode ${octal}): chmod 700 it, or name another folder`);
  }
}

/** The first free name for a socket of this process. */
export function freeSocketPath(): string {
  const folder = socketFolder();
  checkFolder(folder);
  const taken = new Set(readdirSync(folder));
  let number = 0;
  while (taken.has(`${process.pid}-${number}.sock`)) number++;
  return checkPath(join(folder, `${process.pid}-${number}.sock`));
}

/** `path`, if a socket can have it and its folder is private. */
export function checkPath(path: string): string {
  if (Buffer.byteLength(path) > PATH_MAX)
    throw new RangeError(`the path of a socket has at most ${PATH_MAX} bytes: ${path}`);
  checkFolder(dirname(path));
  return path;
}

/** Closes a socket that has just been made to all others. */
export function closeToOthers(path: string): void {
  chmodSync(path, SOCKET_MODE);
}

/** Removes a socket; one that is gone is well. */
export function removeSocket(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** The sockets of this user's running programs, by process; those of dead ones are removed. */
export function listSockets(folder: string = socketFolder()): SocketEntry[] {
  let names: string[];
  try {
    checkFolder(folder);
    names = readdirSync(folder);
  } catch {
    return [];
  }
  const entries: SocketEntry[] = [];
  for (const name of names) {
    const match = NAME.exec(name);
    if (match === null) continue;
    const pid = Number(match[1]);
    if (isAlive(pid)) entries.push({ pid, path: join(folder, name) });
    else removeSocket(join(folder, name));
  }
  return entries.sort((a, b) => a.pid - b.pid || (a.path < b.path ? -1 : 1));
}
