/**
 * @file Weights between those that a run began with and those it ended with (https://arxiv.org/abs/2109.01903): often
 * better than both, because what the run taught stays and what it forgot comes back.
 */
import type { Weight } from "../../chameleon/checkpoint/folder.ts";

/**
 * @param share of the initial weights, from 0 to 1. What they lack, such as the map that rows of codes share, counts as 0
 */
export function mixedWithInitial(
  weights: ReadonlyMap<string, Weight>,
  initial: ReadonlyMap<string, Weight>,
  share: number,
): Map<string, Weight> {
  const mixed = ([name, weight]: [string, Weight]): [string, Weight] => {
    const before = initial.get(name)?.data;
    return [
      name,
      { ...weight, data: weight.data.map((value, i) => (1 - share) * value + share * (before?.[i] ?? 0)) },
    ];
  };
  return new Map([...weights].map(mixed));
}
