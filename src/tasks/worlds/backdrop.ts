/** @file Backgrounds of icons and cutouts: white, a plain colour, a gradient, or a part of a photograph. */
import { createImage, type Image } from "../../image/image.ts";
import type { Random } from "../../random.ts";
import type { Photo } from "../gathered/index.ts";
import { hsv } from "../palette.ts";
import type { Rgb } from "../world/scene.ts";
import { cropSquare, drawSquare } from "./crop.ts";

const kinds = ["white", "light", "dark", "color", "gradient", "photo"] as const;
const often = [40, 18, 10, 14, 10, 8];

/** A random background, `size` × `size` pixels. */
export function drawBackdrop(random: Random, size: number, photos: readonly Photo[]): Image {
  const kind = random.pick(kinds, often);
  if (kind === "photo" && photos.length > 0) return photoPart(random, size, photos);
  if (kind === "gradient" || kind === "photo") return gradient(random, size);
  if (kind === "white") return createImage(size, size, [1, 1, 1]);
  if (kind === "color") return createImage(size, size, drawPlainColor(random));
  const hue = random.uniform();
  const isLight = kind === "light";
  const value = isLight ? random.uniform(0.88, 1) : random.uniform(0.05, 0.25);
  return createImage(size, size, hsv(hue, random.uniform(0, isLight ? 0.25 : 0.5), value));
}

/** A part of a random photograph. */
export function photoPart(random: Random, size: number, photos: readonly Photo[]): Image {
  const { image } = random.pick(photos);
  return cropSquare(image, drawSquare(random, image), size, random.chance(0.5));
}

export const drawPlainColor = (random: Random): Rgb =>
  hsv(random.uniform(), random.uniform(0.3, 0.9), random.uniform(0.45, 0.95));

function gradient(random: Random, size: number): Image {
  const hue = random.uniform();
  const [from, to] = [
    hsv(hue, random.uniform(0.1, 0.7), random.uniform(0.3, 1)),
    hsv(hue + random.uniform(-0.25, 0.25), random.uniform(0.1, 0.7), random.uniform(0.3, 1)),
  ];
  const angle = random.uniform(0, 2 * Math.PI);
  const [dx, dy] = [Math.cos(angle), Math.sin(angle)];
  const reach = Math.abs(dx) + Math.abs(dy);
  const out = createImage(size, size);
  for (let y = 0, at = 0; y < size; y++)
    for (let x = 0; x < size; x++, at += 3) {
      const position = 0.5 + (((x + 0.5) / size - 0.5) * dx + ((y + 0.5) / size - 0.5) * dy) / reach;
      for (let c = 0; c < 3; c++) out.data[at + c] = from[c]! + (to[c]! - from[c]!) * position;
    }
  return out;
}
