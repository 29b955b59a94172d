/** @file Held-out samples of task families. Scenes and parameters depend only on seed, family and index. */
import { rounded } from "../image/index.ts";
import { type Pair, Random, type Task, type TaskFamily } from "../tasks/index.ts";

/** A task, its query pair, and examples of the same task. Pictures have 8 bits, as users' files do. */
export interface Sample {
  readonly task: Task;
  readonly query: Pair;
  /** Example number `index`, with another scene. There is no limit. */
  example(index: number): Pair;
  /** Sampling seed. All conditions of a sample use the same one. */
  readonly seed: number;
}

/**
 * Makes sample `index` of a family. The name of its random stream separates it from training samples.
 * @param size side of the pictures in pixels
 */
export function sampleOf(family: TaskFamily, seed: number, index: number, size: number): Sample {
  const stream = (...path: (string | number)[]) => Random.of(seed, "evaluation", family.name, index, ...path);
  const task = family.draw(stream("task"));
  return {
    task,
    query: in8Bits(task.pair(stream("query"), size)),
    example: (number) => in8Bits(task.pair(stream("example", number), size)),
    seed: stream("drawing").integer(0, 2 ** 31 - 1),
  };
}

/** A pair as files hold it. */
export const in8Bits = <P extends Pick<Pair, "input" | "output">>(pair: P): P => ({
  ...pair,
  input: rounded(pair.input),
  output: rounded(pair.output),
});

/** The index of a sample, as in file names. */
export const numbered = (index: number): string => String(index).padStart(4, "0");
