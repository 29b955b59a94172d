/** @file Batches of pictures for the image tokenizer: both sides of pairs of every family. */
import { toPlanes } from "../chameleon/image-tokenizer.ts";
import { Random } from "../random.ts";
import { selectFamilies } from "../tasks/index.ts";

export interface PictureOptions {
  readonly seed: number;
  /** Keeps training and held-out pictures apart: it names the random stream. */
  readonly part: "train" | "held out";
  readonly batch: number;
  readonly size: number;
}

/** float32 `[batch, 3, size, size]` in [−1, 1]. */
export type Pictures = Float32Array;

/** Batch `step`: a pure function of the options and the step. */
export function createSource({ seed, part, batch, size }: PictureOptions): (step: number) => Pictures {
  const families = selectFamilies();
  return (step) => {
    const images = Array.from({ length: Math.ceil(batch / 2) }, (_, i) => {
      const random = Random.of(seed, "pictures", part, step, i);
      const { input, output } = random.pick(families).draw(random).pair(random, size);
      return [input, output];
    });
    return toPlanes(images.flat().slice(0, batch));
  };
}
