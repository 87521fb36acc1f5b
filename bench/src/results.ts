/**
 * What a run yields, and the arithmetic on it. Times are nanoseconds an operation.
 *
 * Gross is what the clock says. Net is gross less what the same loop costs on the same side (C or JavaScript) around an
 * allocator that does nothing. Both are medians over rounds. A net time under NET_RESOLUTION is below what subtracting
 * two medians can tell, and no ratio is formed with it.
 */

export type Side = 'js' | 'c';

export interface Times {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export interface Result {
  readonly allocator: string;
  readonly side: Side;
  readonly identity: string;
  readonly gross: Times;
  /** Absent for the no-op allocator itself, and without one of its side to subtract. */
  readonly net?: number;
  /** modslab's time ÷ this one's. Absent for modslab itself. */
  readonly ratio?: { readonly gross?: number; readonly net?: number };
  readonly rounds: readonly number[];
}

export interface WorkloadResult {
  readonly workload: string;
  readonly what: string;
  readonly results: readonly Result[];
  /** modslab's heap after the last round; empty when sound. */
  readonly problems: readonly string[];
}

export interface Report {
  readonly format: 1;
  readonly machine: string;
  readonly runtime: string;
  readonly parameters: { readonly rounds: number; readonly roundMs: number; readonly warmMs: number };
  readonly operation: string;
  readonly workloads: readonly WorkloadResult[];
  readonly missing: readonly string[];
}

export interface Measured {
  readonly allocator: string;
  readonly side: Side;
  readonly identity: string;
  readonly rounds: readonly number[];
}

/** Nanoseconds. */
const NET_RESOLUTION = 0.2;

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

/** Adds net times and ratios to what was measured. */
export function evaluate(measured: readonly Measured[]): Result[] {
  const gross = new Map(measured.map((m) => [m, median(m.rounds)]));
  const netOf = (m: Measured): number | undefined => {
    const noop = measured.find((other) => other.allocator === 'noop' && other.side === m.side);
    if (noop === undefined || noop === m) return undefined;
    return (gross.get(m) ?? Number.NaN) - (gross.get(noop) ?? Number.NaN);
  };
  const own = measured.find((m) => m.allocator === 'modslab');
  return measured.map((m) => {
    const net = netOf(m);
    const times = {
      median: gross.get(m) ?? Number.NaN,
      min: Math.min(...m.rounds),
      max: Math.max(...m.rounds),
    };
    const compared = own !== undefined && m !== own && m.allocator !== 'noop';
    const ratio = compared ? ratioOf(gross.get(own), times.median, netOf(own), net) : undefined;
    return {
      ...m,
      gross: times,
      ...(net === undefined ? {} : { net }),
      ...(ratio === undefined ? {} : { ratio }),
    };
  });
}

function ratioOf(
  ownGross: number | undefined,
  gross: number,
  ownNet: number | undefined,
  net: number | undefined,
): { gross?: number; net?: number } {
  const grossRatio = ownGross === undefined ? {} : { gross: ownGross / gross };
  const tellable =
    ownNet !== undefined && net !== undefined && ownNet > NET_RESOLUTION && net > NET_RESOLUTION;
  return tellable ? { ...grossRatio, net: ownNet / net } : grossRatio;
}
