/** @file Several ranks within one process: for tests, and for programs that try out how a batch is shared. */
import type { Collective } from "./collective.ts";

interface Arrival {
  readonly call: string;
  readonly values: Float32Array;
  resolve(): void;
  reject(error: Error): void;
}

/** The collectives of `size` ranks. Each must be used by work of its own, at the same time as the others. */
export function inProcess(size: number): Collective[] {
  let arrivals: Arrival[] = [];
  const meet = (rank: number, call: string, values: Float32Array) =>
    new Promise<void>((resolve, reject) => {
      arrivals[rank] = { call: `${call} of ${values.length} values`, values, resolve, reject };
      if (Object.keys(arrivals).length < size) return;
      const all = arrivals;
      arrivals = [];
      settle(all, call === "broadcast");
    });
  return Array.from({ length: size }, (_, rank) => {
    const barrier = () => meet(rank, "barrier", new Float32Array());
    return {
      ...{ rank, size, barrier, close: barrier },
      allReduce: (values: Float32Array) => meet(rank, "all-reduce", values),
      broadcast: (values: Float32Array) => meet(rank, "broadcast", values),
      [Symbol.asyncDispose]: barrier,
    };
  });
}

/** Gives every rank the values of rank 0, or the sums in the order of the ranks. */
function settle(all: readonly Arrival[], isBroadcast: boolean): void {
  const [first, ...others] = all as [Arrival, ...Arrival[]];
  const other = others.find(({ call }) => call !== first.call);
  if (other) {
    const error = new Error(`ranks out of step: ${first.call} in rank 0, ${other.call} in another`);
    for (const { reject } of all) reject(error);
    return;
  }
  const result = first.values.slice();
  if (!isBroadcast)
    for (const { values } of others) for (const [i, value] of values.entries()) result[i]! += value;
  for (const { values, resolve } of all) {
    values.set(result);
    resolve();
  }
}
