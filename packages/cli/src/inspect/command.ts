/**
 * `modslab inspect [TARGET]`: shows a heap in the browser. TARGET is what exposes a heap (a socket, a process, an address), a
 * snapshot, or a trace; none: the only heap that this user's programs expose.
 *
 * The command serves the page itself, on loopback with a token of its own, and asks the program behind it for snapshots; so a
 * browser, which cannot open a Unix socket, sees a heap that is exposed on one. It ends with Ctrl-C.
 */
import { spawn } from 'node:child_process';
import { statSync } from 'node:fs';
import process, { stderr, stdout } from 'node:process';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { connect, LiveError } from '../live/client.ts';
import { printable, TraceError } from '../trace/errors.ts';
import { fileSource } from './files.ts';
import { type Served, serveInspector } from './serve.ts';

interface Flags {
  port: number;
  open: boolean;
}

const HELP = `
TARGET is
  a socket          of a program that calls expose(heap)
  a number          the process that exposes a heap
  http://127.0.0.1:PORT/#token=…   what such a program printed
  a file            a snapshot (heap.snapshot()), or a trace (mtrace1, kmem ftrace);
                    either may be gzipped. A trace can be scrubbed forward and back.
Without TARGET: the only heap that your programs expose.

The page is served to this machine only, with a token that is in its address.
Ctrl-C ends it.`;

function port(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value <= 65_535) return value;
  throw new InvalidArgumentError('It must be a whole number from 0 to 65535.');
}

/** Adds the command to `parent`. `report` is told each exit status. */
export function addInspect(parent: Command, report: (status: number) => void): void {
  parent
    .command('inspect')
    .summary('show a heap in the browser: page frames, slabs, objects, time lines')
    .description('Show a live heap, a snapshot or a recorded trace in the browser.')
    .argument('[target]', 'socket, process, address, snapshot or trace')
    .addOption(new Option('-p, --port <n>', 'serve on this port; 0: a free one').default(0).argParser(port))
    .option('--no-open', 'only print the address')
    .addHelpText('after', HELP)
    .action(async (target: string | undefined, flags: Flags) => {
      try {
        const served = await serve(target, flags.port);
        stdout.write(`${served.address}\n`);
        if (flags.open) open(served.address);
        await interrupted();
        await served.close();
      } catch (error) {
        if (!(error instanceof LiveError || error instanceof TraceError)) throw error;
        stderr.write(`modslab: ${printable(error.message)}\n`);
        report(2);
      }
    });
}

/** Whether `target` is a file that is read, not a socket that is asked. */
function isFile(target: string): boolean {
  try {
    return !statSync(target).isSocket();
  } catch {
    return false;
  }
}

async function serve(target: string | undefined, at: number): Promise<Served> {
  if (target !== undefined && isFile(target)) return serveInspector(await fileSource(target), at);
  const looksLikeFile = target !== undefined && !/^(\d+|https?:.*|.*[.]sock)$/i.test(target);
  if (looksLikeFile) throw new LiveError(`${target}: no such file or socket`);
  const heap = await connect(target);
  const served = await serveInspector(
    {
      info: { ...heap.info },
      snapshot: () => heap.snapshot(),
      leaks: () => heap.leaks(),
      shrink: () => heap.shrink(),
    },
    at,
  );
  return { address: served.address, close: () => served.close().finally(() => heap.close()) };
}

/** Opens the address with whatever opens addresses here. Where nothing does, it has been printed. */
function open(address: string): void {
  const programs: Partial<Record<NodeJS.Platform, [string, ...string[]]>> = {
    darwin: ['open'],
    win32: ['cmd', '/c', 'start', ''],
  };
  const [program, ...args] = programs[process.platform] ?? ['xdg-open'];
  const child = spawn(program, [...args, address], { stdio: 'ignore', detached: true });
  child.on('error', () => stderr.write('modslab: no browser was found: open the address above\n'));
  child.unref();
}

function interrupted(): Promise<void> {
  return new Promise((resolve) => {
    process.once('SIGINT', resolve);
    process.once('SIGTERM', resolve);
  });
}
