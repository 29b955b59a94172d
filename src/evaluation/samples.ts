/** @file Held-out samples of task families: scenes and parameters that are a function of seed, family and index alone. */
import { type Pair, Random, type Task, type TaskFamily } from "../tasks/index.ts";

/** A task, the pair to be solved, and pairs of the same task to show. */
export interface Sample {
  readonly task: Task;
  readonly query: Pair;
  /** Pairs of other scenes, without end. */
  example(index: number): Pair;
  /** Seed of everything that is drawn for this sample, under whatever condition: conditions differ in nothing else. */
  readonly seed: number;
}

/**
 * Sample `index` of a family. The name of its random stream keeps it apart from what training shows.
 * @param size side of the pictures in pixels
 */
export function sampleOf(family: TaskFamily, seed: number, index: number, size: number): Sample {
  const stream = (...path: (string | number)[]) => Random.of(seed, "evaluation", family.name, index, ...path);
  const task = family.draw(stream("task"));
  return {
    task,
    query: task.pair(stream("query"), size),
    example: (number) => task.pair(stream("example", number), size),
    seed: stream("drawing").integer(0, 2 ** 31 - 1),
  };
}

/** The number of a sample in a file's name. */
export const numbered = (index: number): string => String(index).padStart(4, "0");
