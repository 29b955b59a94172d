/**
 * @file Preprocessing of the published Chameleon checkpoints: scales the short edge with Lanczos, crops the centre
 * square, scales and shifts values to about [−1, 1]. Two references differ slightly:
 *
 * | | long edge | values |
 * |---|---|---|
 * | Hugging Face's ChameleonImageProcessor | rounded down | 0.0078 v − 1, so that white is 0.989 |
 * | Meta's image_tokenizer.py | rounded to the nearest | 2 v / 255 − 1 |
 *
 * Both remove the odd pixel at the right and the bottom, and both scale with Pillow, in 8 bits.
 */
import { XPromptError } from "../errors.ts";
import { type Image, toBytes } from "./image.ts";
import { type Filter, resize } from "./resize.ts";

/** Preprocessing of a picture before encoding. `readPreprocessing` reads it from a checkpoint's folder. */
export interface Preprocessing {
  /** The short edge in pixels after scaling; or both edges, whatever the aspect ratio. */
  readonly size: number | { readonly width: number; readonly height: number };
  /** How the long edge is rounded to whole pixels. */
  readonly longEdge: "floor" | "round";
  readonly filter: Filter;
  /** Size of the centre crop; no crop if undefined. */
  readonly crop?: { readonly width: number; readonly height: number };
  /** Each 8-bit value v of a channel becomes (v · scale − mean) / std. */
  readonly scale: number;
  readonly mean: readonly [number, number, number];
  readonly std: readonly [number, number, number];
}

/** The defaults of Hugging Face's processor. */
export const huggingFacePreprocessing: Preprocessing = {
  size: 512,
  longEdge: "floor",
  filter: "lanczos",
  crop: { width: 512, height: 512 },
  scale: 0.0078,
  mean: [1, 1, 1],
  std: [1, 1, 1],
};

/** The preprocessing of Meta's own image tokenizer. */
export const metaPreprocessing: Preprocessing = {
  ...huggingFacePreprocessing,
  longEdge: "round",
  scale: 2 / 255,
};

/**
 * The planes of red, green and blue `[3, height, width]` for the image tokenizer. Only the crop is computed, so that a
 * very long picture costs no more than a square one.
 * @param image of any size, as from `loadImage`: upright, on white, 8-bit
 * @throws XPromptError when the scaled picture is smaller than the crop.
 */
export function preprocess(image: Image, settings: Preprocessing = huggingFacePreprocessing): Float32Array {
  const { width, height } = scaledSize(image, settings);
  const crop = settings.crop ?? { width, height };
  if (crop.width > width || crop.height > height)
    throw new XPromptError(
      `preparing a picture: expected a crop of at most the scaled size ${width} × ${height}, got ${crop.width} × ${crop.height} (check size and crop_size of the processor)`,
    );
  const window = { ...crop, left: (width - crop.width) >> 1, top: (height - crop.height) >> 1 };
  const levels = toBytes(resize(image, width, height, settings.filter, window));
  const pixels = crop.width * crop.height;
  const planes = new Float32Array(3 * pixels);
  for (let c = 0; c < 3; c++)
    for (let i = 0; i < pixels; i++)
      planes[c * pixels + i] = (levels[i * 3 + c]! * settings.scale - settings.mean[c]!) / settings.std[c]!;
  return planes;
}

function scaledSize({ width, height }: Image, { size, longEdge }: Preprocessing) {
  if (typeof size !== "number") return size;
  const [short, long] = [Math.min(width, height), Math.max(width, height)];
  const edge =
    longEdge === "floor" ? Math.floor((size * long) / short) : roundHalfEven((size / short) * long);
  return width <= height ? { width: size, height: edge } : { width: edge, height: size };
}

/** Rounds to the nearest integer, halves to even, as Python does. */
function roundHalfEven(x: number): number {
  const below = Math.floor(x);
  const rest = x - below;
  return rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below;
}
