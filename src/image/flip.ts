/** @file Mirrored and upturned pictures. */
import { createImage, type Image } from "./image.ts";

export interface Flip {
  readonly across: boolean;
  readonly down: boolean;
}

/** All flips; the first is none. */
export const flips: readonly Flip[] = [
  { across: false, down: false },
  { across: true, down: false },
  { across: false, down: true },
  { across: true, down: true },
];

/** The flipped picture, or the picture itself if there is nothing to flip. */
export function flipped(image: Image, { across, down }: Flip): Image {
  if (!across && !down) return image;
  const { width, height } = image;
  const out = createImage(width, height);
  for (let y = 0, to = 0; y < height; y++)
    for (let x = 0; x < width; x++, to += 3) {
      const from = ((down ? height - 1 - y : y) * width + (across ? width - 1 - x : x)) * 3;
      out.data.set(image.data.subarray(from, from + 3), to);
    }
  return out;
}
