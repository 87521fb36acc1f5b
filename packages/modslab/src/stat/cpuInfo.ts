/** The CPU slots of a heap, read. */

import { generationOf, OFFLINE, readTag, readThread, statusOf } from '../memory/cpu.ts';
import { CPU_STATUS, cpuAt } from '../memory/layout.ts';
import type { Metadata } from '../memory/metadata.ts';

/** A CPU slot of the heap. */
export interface CpuInfo {
  cpu: number;
  online: boolean;
  /** What `attach` was given. */
  tag?: string | number;
  /** Rises by one each time the slot is taken. */
  generation: number;
  /**
   * The host's number of the thread that has it (Node: `threadId`); 0 on the main thread, or where the host numbers none.
   * An online slot without it belongs to a thread that is inside `attach` or `detach`, or died there: it has nothing, so
   * reaping it is right if the thread is dead and does no harm if it is not.
   */
  thread?: number;
}

/** All CPU slots that have ever been taken. Cost: O(CPUs). */
export function cpuInfos(metadata: Metadata): CpuInfo[] {
  const { m, layout } = metadata;
  const infos: CpuInfo[] = [];
  for (let cpu = 0; cpu < layout.cpus; cpu++) {
    const word = Atomics.load(m, cpuAt(layout, cpu) + CPU_STATUS);
    if (word === 0) continue;
    const tag = readTag(metadata, cpu);
    const online = statusOf(word) !== OFFLINE;
    const thread = readThread(metadata, cpu);
    const info: CpuInfo = { cpu, online, generation: generationOf(word) };
    if (tag !== undefined) info.tag = tag;
    if (thread !== undefined) info.thread = thread;
    infos.push(info);
  }
  return infos;
}
