/**
 * The number that the host gives the running thread. Node, Bun and Deno number their worker threads, and tell the
 * number in the worker and to whoever started it; so a supervisor finds the CPU slots of a dead worker without having
 * agreed on anything with it. There is no import of Node here: the host is asked for its module at run time, if it can be
 * asked (Node from 20.16 on).
 */

interface Host {
  /** Node's `chdir` says so where it does nothing: on worker threads. */
  readonly chdir?: { readonly disabled?: boolean };
  readonly versions?: { readonly bun?: string; readonly deno?: string };
  getBuiltinModule?(name: string): { readonly threadId?: number } | undefined;
}

/** Whether the host can be asked. */
export function hostNumbersThreads(): boolean {
  const { process: host } = globalThis as { readonly process?: Host };
  return typeof host?.getBuiltinModule === 'function';
}

/** Whether it is Node's main thread for sure, whose number is 0: asking the module costs 2 ms there, since it must be loaded. */
function isMainOfNode({ chdir, versions }: Host): boolean {
  const isNode = versions?.bun === undefined && versions?.deno === undefined;
  return isNode && typeof chdir === 'function' && (chdir as { disabled?: boolean }).disabled !== true;
}

/** The worker thread's number; 0 on the main thread, and where the host has none. */
export function threadIdOfHost(): number {
  try {
    const { process: host } = globalThis as { readonly process?: Host };
    if (host === undefined || isMainOfNode(host)) return 0;
    return host.getBuiltinModule?.('node:worker_threads')?.threadId ?? 0;
  } catch {
    return 0;
  }
}
