/** @file Stickers: a flat shape is put on the picture, always at the same place; or removed. */
import { overlay } from "../../image/paint.ts";
import type { Random } from "../../random.ts";
import { bothWays, ofAnyPicture, type ReversibleChange } from "../task.ts";
import { withArticle } from "../world/caption.ts";
import { colorNames, colors } from "../world/scene.ts";
import { fromPicture } from "./source.ts";

/** Signed distance of a point from a shape of radius 1 around (0, 0), negative inside. */
const silhouettes: Readonly<Record<string, (x: number, y: number) => number>> = {
  disc: (x, y) => Math.hypot(x, y) - 1,
  square: (x, y) => Math.max(Math.abs(x), Math.abs(y)) - 0.85,
  diamond: (x, y) => (Math.abs(x) + Math.abs(y) - 1.1) / Math.SQRT2,
  triangle: (x, y) => Math.max((Math.abs(x) * 1.8 - y - 1) / 2, y - 0.8),
  ring: (x, y) => Math.abs(Math.hypot(x, y) - 0.75) - 0.3,
  cross: (x, y) => {
    const [near, far] = [Math.min(Math.abs(x), Math.abs(y)), Math.max(Math.abs(x), Math.abs(y))];
    return Math.max(near - 0.35, far - 1);
  },
};

function drawSticker(random: Random): ReversibleChange {
  const shape = random.pick(Object.keys(silhouettes));
  const color = random.pick(colorNames);
  const radius = random.uniform(0.08, 0.17);
  const [x0, y0] = [random.uniform(0.2, 0.8), random.uniform(0.25, 0.8)];
  const outside = silhouettes[shape]!;
  return {
    parameters: { shape, color, radius, x: x0, y: y0 },
    images: fromPicture(({ image }) =>
      overlay(image, colors[color], (x, y) => {
        const distance = outside((x - x0) / radius, (y - y0) / radius) * radius;
        return 0.5 - distance * image.width;
      }),
    ),
    words: {
      instructions: [`stick ${withArticle(`${color} ${shape}`)} on it`, `put a ${shape} sticker on it`],
      differences: [`${withArticle(`${color} ${shape}`)} is stuck on the output image`],
    },
    reverseWords: {
      instructions: [`take the ${color} ${shape} off`, "take the sticker off"],
      differences: [`the ${color} ${shape} that is stuck on the input image is gone`],
    },
  };
}

export const stickerFamilies = ofAnyPicture([
  ...bothWays(["sticker", "editing"], ["unstick", "editing"], drawSticker),
]);
