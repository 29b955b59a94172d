/** @file What processes that train one model together must be able to do with each other. */
import { ReportedElsewhere, UsageError, XPromptError } from "../../errors.ts";
import { sha256 } from "../../hash.ts";

/** One part of the work, of `size` equal parts. Survives a structured clone. */
export interface Share {
  /** 0 … size − 1 */
  readonly rank: number;
  readonly size: number;
}

/**
 * The processes of a run, as one of them sees them. All of them make the same calls in the same order; a call returns
 * once every process has made it.
 */
export interface Collective extends Share {
  /** Replaces the values by their sums over all processes, with the same bits in each. */
  allReduce(values: Float32Array): Promise<void>;
  /** Replaces the values by those of process 0. */
  broadcast(values: Float32Array): Promise<void>;
  barrier(): Promise<void>;
  /** Waits for the others and leaves. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** The collective of a run in one process. */
export const alone: Collective = {
  rank: 0,
  size: 1,
  allReduce: async () => {},
  broadcast: async () => {},
  barrier: async () => {},
  close: async () => {},
  [Symbol.asyncDispose]: async () => {},
};

/**
 * The items of a batch that fall to a process: `length` from `first` on.
 * @param what names the items in the error: "contexts"
 * @throws UsageError when the batch cannot be divided
 */
export function partOf(
  count: number,
  { rank, size }: Share,
  what: string,
): { readonly first: number; readonly length: number } {
  if (count % size !== 0)
    throw new UsageError(
      `sharing a batch among ${size} processes: expected ${what} to be a multiple of ${size}, got ${count} (change --${what} or the number of processes)`,
    );
  const length = count / size;
  return { first: rank * length, length };
}

export async function sumOver(collective: Collective, value: number): Promise<number> {
  if (collective.size === 1) return value;
  const sum = Float32Array.of(value);
  await collective.allReduce(sum);
  return sum[0]!;
}

/** The mean over all processes of a value that each has of its part of a batch, by the weights of the parts. */
export async function meanOver(collective: Collective, value: number, weight: number): Promise<number> {
  if (collective.size === 1) return value;
  const sums = Float32Array.of(value * weight, weight);
  await collective.allReduce(sums);
  return sums[0]! / sums[1]!;
}

/** The values of all processes one after another; each has as many. */
export async function gather(collective: Collective, values: Float32Array): Promise<Float32Array> {
  const all = new Float32Array(collective.size * values.length);
  all.set(values, collective.rank * values.length);
  await collective.allReduce(all);
  return all;
}

/**
 * Work that every process does and that fails in all if it fails in one. It must not call the collective itself.
 * @throws the error of the work in the first process that failed, ReportedElsewhere in the others
 */
export async function together<T>(collective: Collective, work: () => Promise<T>): Promise<T> {
  if (collective.size === 1) return work();
  const [outcome] = await Promise.allSettled([work()]);
  const failed = new Float32Array(collective.size);
  if (outcome.status === "rejected") failed[collective.rank] = 1;
  await collective.allReduce(failed);
  const first = failed.indexOf(1);
  if (outcome.status === "rejected" && first === collective.rank) throw outcome.reason;
  if (outcome.status === "rejected" || first >= 0) throw new ReportedElsewhere();
  return outcome.value;
}

/**
 * Makes sure that all processes hold the same.
 * @param what names it in the error, in the plural: "weights"
 * @param text equal texts stand for equal things
 * @param advice what to do where they differ
 */
export async function checkSame(
  collective: Collective,
  what: string,
  text: string,
  advice: string,
): Promise<void> {
  const { rank, size } = collective;
  if (size === 1) return;
  const ours = Float32Array.from(Buffer.from(sha256(text), "hex"));
  const first = ours.slice();
  await collective.broadcast(first);
  await together(collective, async () => {
    if (ours.some((byte, i) => byte !== first[i]))
      throw new XPromptError(
        `training in ${size} processes: expected the same ${what} in all, got others in process ${rank} (${advice})`,
      );
  });
}
