/**
 * The number that the host gives the running thread. Node, Bun and Deno number their worker threads, and tell the
 * number in the worker and to whoever started it; so a supervisor finds the CPU slots of a dead worker without having
 * agreed on anything with it. There is no import of Node here: the host is asked for its module at run time, if it can be
 * asked (Node from 20.16 on).
 */

interface Host {
  getBuiltinModule?(name: string): { readonly threadId?: number } | undefined;
}

/** Whether the host can be asked. */
export function hostNumbersThreads(): boolean {
  const { process: host } = globalThis as { readonly process?: Host };
  return typeof host?.getBuiltinModule === 'function';
}

/** The worker thread's number; 0 on the main thread, and where the host has none. */
export function threadIdOfHost(): number {
  try {
    const { process: host } = globalThis as { readonly process?: Host };
    return host?.getBuiltinModule?.('node:worker_threads')?.threadId ?? 0;
  } catch {
    return 0;
  }
}
