/** @file Style: the same scene as another kind of picture; and back to the realistic one. */
import {
  gaussianBlur,
  lumaAt,
  mapPixels,
  mapValues,
  saturate,
  shrink,
  smoothPatches,
} from "../../image/filters.ts";
import { createImage, type Image } from "../../image/image.ts";
import { paintStroke } from "../../image/paint.ts";
import type { Random } from "../../random.ts";
import { hsv } from "../palette.ts";
import { bothWays, ofAnyPicture, type ReversibleChange, type TaskFamily } from "../task.ts";
import { type Color, colorNames, colors } from "../world/scene.ts";
import { outlines } from "./outlines.ts";
import { from, fromPicture, type Shot } from "./source.ts";

const darkInks: readonly Color[] = ["black", "blue", "purple", "brown", "red"];

const styleWords = (style: string): Pick<ReversibleChange, "words" | "reverseWords"> => ({
  words: {
    instructions: [`make it a ${style}`, `turn the picture into a ${style}`],
    differences: [`the output image is a ${style} of the input image`],
  },
  reverseWords: {
    instructions: [`turn the ${style} into a realistic picture`, `make the ${style} look real`],
    differences: [`the output image looks real while the input image is a ${style}`],
  },
});

/** Every region (object, or class of background) in its mean colour, with lighter and darker parts. */
function flatten(shot: Shot, contrast: number): Image {
  const { image, segmentation, classes } = shot;
  const region = (i: number) => segmentation[i]! * 16 + classes[i]!;
  const sums = new Map<number, Float64Array>();
  for (let i = 0; i < segmentation.length; i++) {
    const sum = sums.get(region(i)) ?? new Float64Array(4);
    for (let c = 0; c < 3; c++) sum[c]! += image.data[i * 3 + c]!;
    sum[3]!++;
    sums.set(region(i), sum);
  }
  const out = createImage(image.width, image.height);
  for (let i = 0; i < segmentation.length; i++) {
    const sum = sums.get(region(i))!;
    const count = sum[3]!;
    const isObject = segmentation[i]! > 0;
    const tone = lumaAt(image.data, i * 3) > lumaAt(sum, 0) / count ? 1 + contrast : 1 - contrast;
    for (let c = 0; c < 3; c++) out.data[i * 3 + c] = Math.min((sum[c]! / count) * (isObject ? tone : 1), 1);
  }
  return out;
}

function drawCartoon(random: Random): ReversibleChange {
  const ink = random.pick(darkInks);
  const contrast = random.uniform(0, 0.3);
  return {
    parameters: { ink, contrast },
    images: from((shot) => {
      const out = flatten(shot, contrast);
      outlines(shot).forEach((line, i) => {
        if (line) out.data.set(colors[ink], i * 3);
      });
      return out;
    }),
    ...styleWords(`cartoon with ${ink} lines`),
  };
}

function drawSketch(random: Random): ReversibleChange {
  const ink = random.pick(darkInks);
  const paper = random.pick(["white", "yellow", "pink"] as const);
  const shading = random.uniform(0.25, 0.6);
  return {
    parameters: { ink, paper, shading },
    images: from((shot) => {
      const lines = outlines(shot);
      return mapValues(shot.image, (_value, at) => {
        const [pixel, c] = [Math.floor(at / 3), at % 3];
        const strength = lines[pixel] ? 1 : shading * (1 - lumaAt(shot.image.data, pixel * 3));
        return colors[paper][c]! + (colors[ink][c]! - colors[paper][c]!) * strength;
      });
    }),
    ...styleWords(`${ink} sketch`),
  };
}

function drawNeon(random: Random): ReversibleChange {
  const hue = random.uniform();
  const glow = hsv(hue, 0.8, 1);
  return {
    parameters: { hue },
    images: from((shot) => {
      const { width, height } = shot.image;
      const lines = outlines(shot);
      const mask: Image = {
        width,
        height,
        data: Float32Array.from(shot.image.data, (_v, i) => lines[Math.floor(i / 3)]!),
      };
      const halo = gaussianBlur(mask, 0.035 * width);
      return mapValues(
        halo,
        (near, i) => 0.05 + glow[i % 3]! * (1.5 * near + 0.5 * mask.data[i]!) + 0.3 * mask.data[i]!,
      );
    }),
    ...styleWords("neon drawing"),
  };
}

function drawDots(random: Random): ReversibleChange {
  const count = random.pick([10, 12, 16]);
  const paper = random.pick(colorNames);
  const radius = random.uniform(0.34, 0.46) / count;
  return {
    parameters: { count, paper, radius },
    images: fromPicture(({ image }) => {
      const cells = shrink(image, count);
      const out = createImage(image.width, image.height, colors[paper]);
      for (let cell = 0; cell < count * count; cell++) {
        const [x, y] = [((cell % count) + 0.5) / count, (Math.floor(cell / count) + 0.5) / count];
        paintStroke(out, [x, y, x, y], radius, cells.data.subarray(cell * 3, cell * 3 + 3), 1);
      }
      return out;
    }),
    ...styleWords(`dot painting on ${paper}`),
  };
}

function drawPainting(random: Random): ReversibleChange {
  const stroke = random.uniform(0.03, 0.055);
  const vividness = random.uniform(1, 1.6);
  return {
    parameters: { stroke, vividness },
    images: fromPicture(({ image, size }) => {
      const smooth = smoothPatches(
        smoothPatches(image, Math.round(stroke * size)),
        Math.round((stroke * size) / 2),
      );
      return mapPixels(smooth, saturate(vividness));
    }),
    ...styleWords("soft oil painting"),
  };
}

export const styleFamilies: readonly TaskFamily[] = [
  ...bothWays(["cartoon", "editing"], ["uncartoon", "controlled"], drawCartoon),
  ...bothWays(["sketch", "editing"], ["sketchToImage", "controlled"], drawSketch),
  ...bothWays(["neon", "editing"], ["neonToImage", "controlled"], drawNeon),
  ...ofAnyPicture(bothWays(["dots", "editing"], ["undots", "editing"], drawDots)),
  ...ofAnyPicture(bothWays(["painting", "editing"], ["unpainting", "editing"], drawPainting)),
];
