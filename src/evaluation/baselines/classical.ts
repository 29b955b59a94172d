/**
 * @file One classical filter per restoration family. The choice and the strengths are fixed: a filter sees only the
 * query, neither the example nor the truth.
 */
import { gaussianBlur, luma, mapPixels, mapValues } from "../../image/filters.ts";
import { type Image, medianFilter } from "../../image/index.ts";
import { clamp } from "../../numbers.ts";

export interface ClassicalFilter {
  /** Name in tables. */
  readonly name: string;
  apply(image: Image): Image | Promise<Image>;
}

/** Median over 3 × 3 pixels for a picture of 64 × 64 pixels. The window scales with the picture. */
export const median: ClassicalFilter = {
  name: "median filter",
  apply: (image) => medianFilter(image, Math.max(1, Math.round(image.width / 64))),
};

/** Adds the difference to a Gaussian blur (σ = 2% of the width) once. */
export const unsharpMask: ClassicalFilter = {
  name: "unsharp mask",
  apply(image) {
    const blurred = gaussianBlur(image, 0.02 * image.width);
    return mapValues(image, (value, i) => value + (value - blurred.data[i]!));
  },
};

const MEAN_LUMA = 0.45;
const DARKEST_MEAN = 1 / 255;

/** Gamma correction that maps the mean luma to 0.45. */
export const autoGamma: ClassicalFilter = {
  name: "automatic gamma",
  apply(image) {
    let sum = 0;
    const { data } = image;
    for (let i = 0; i < data.length; i += 3) sum += luma(data[i]!, data[i + 1]!, data[i + 2]!);
    const mean = clamp((3 * sum) / data.length, DARKEST_MEAN, 1 - DARKEST_MEAN);
    const power = Math.log(MEAN_LUMA) / Math.log(mean);
    return mapValues(image, (value) => value ** power);
  },
};

const CUT_OFF = 0.01;

/** Stretches each channel linearly, so that its first and 99th percentile become 0 and 1. */
export const contrastStretch: ClassicalFilter = {
  name: "contrast stretch",
  apply(image) {
    const count = image.data.length / 3;
    const [low, high] = [CUT_OFF, 1 - CUT_OFF].map((share) => Math.round(share * (count - 1)));
    const ends = [0, 1, 2].map((c) => {
      const sorted = image.data.filter((_, i) => i % 3 === c).sort();
      return [sorted[low!]!, sorted[high!]!] as const;
    });
    return mapPixels(image, (r, g, b, out, at) => {
      for (const [c, value] of [r, g, b].entries()) {
        const [from, to] = ends[c]!;
        out[at + c] = to > from ? (value - from) / (to - from) : value;
      }
    });
  },
};

const ofFamilies: Readonly<Record<string, ClassicalFilter>> = {
  derain: median,
  desnow: median,
  denoise: median,
  inpainting: median,
  dejpeg: median,
  deblur: unsharpMask,
  motionDeblur: unsharpMask,
  superResolution: unsharpMask,
  lowLightEnhancement: autoGamma,
  dehaze: contrastStretch,
  devignette: contrastStretch,
};

/** The filter for a family's queries; undefined if the family is not a restoration. */
export const classicalFilter = (family: string): ClassicalFilter | undefined =>
  Object.hasOwn(ofFamilies, family) ? ofFamilies[family] : undefined;
