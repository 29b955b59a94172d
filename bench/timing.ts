/**
 * @file Times several programs side by side. Absolute times are noisy on a shared machine, so reports use ratios of runs
 * that were adjacent in time.
 */

/** Runs a piece of work and returns its time in milliseconds. */
export type Run = () => Promise<number>;

export interface Milliseconds {
  readonly median: number;
  readonly min: number;
  readonly repeats: number;
}

export interface Ratio {
  /** Median over pairs of adjacent runs. */
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** Times a piece of work in this process. */
export const timed =
  (work: () => Promise<unknown>): Run =>
  async () => {
    const start = performance.now();
    await work();
    return performance.now() - start;
  };

/** Threads of onnxruntime spin for 36 ms after a run. The next program needs free cores. */
const PAUSE_MS = 80;

/**
 * Runs the programs in turn and reverses their order every other round, so that drift affects all equally. The first
 * `warmUp` rounds are discarded, because onnxruntime allocates its memory in them.
 * @returns the milliseconds of every program, by name. Values of the same index are adjacent in time.
 */
export async function alternate<Name extends string>(
  programs: Readonly<Record<Name, Run>>,
  { repeats, warmUp = 3 }: { readonly repeats: number; readonly warmUp?: number },
): Promise<Record<Name, number[]>> {
  const names = Object.keys(programs) as Name[];
  const times = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<Name, number[]>;
  for (let round = -warmUp; round < repeats; round++) {
    for (const name of round % 2 === 0 ? names : [...names].reverse()) {
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      const ms = await programs[name]();
      if (round >= 0) times[name].push(ms);
    }
    process.stderr.write(round < 0 ? "." : "+");
  }
  process.stderr.write("\n");
  return times;
}

export const milliseconds = (times: readonly number[]): Milliseconds => ({
  median: round(median(times), 3),
  min: round(Math.min(...times), 3),
  repeats: times.length,
});

/** The ratios of `slow` to `fast`, run by run. */
export function ratio(slow: readonly number[], fast: readonly number[]): Ratio {
  const ratios = slow.map((ms, i) => ms / fast[i]!);
  return {
    median: round(median(ratios), 3),
    min: round(Math.min(...ratios), 3),
    max: round(Math.max(...ratios), 3),
  };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** The smallest value that a share of all values do not exceed. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!;
}

export const round = (value: number, digits: number): number => Number(value.toFixed(digits));

/** GFLOP/s of `operations` in `ms` milliseconds. */
export const gflops = (operations: number, ms: number): number => round(operations / ms / 1e6, 1);
