/**
 * @file Renders maps as pictures: depth and labels are stored as numbers. They get colours as in the perception
 * families: depth a continuous palette, linear in 1 / depth; labels colours that are easy to distinguish.
 */
import sharp from "sharp";
import { firstLineOf } from "../../errors.ts";
import { createImage, type Image } from "../../image/image.ts";
import { maxPixels } from "../../image/limits.ts";
import { clamp } from "../../numbers.ts";
import type { Random } from "../../random.ts";
import { type DepthPalette, drawDepthPalette, hsv, paletteColor } from "../palette.ts";
import type { Rgb } from "../world/scene.ts";

/** How to render the output maps of a set. */
export type Render = DepthRender | LabelRender;

interface DepthRender {
  readonly kind: "depth";
  /** Metres per step, by the bit depth of the map. */
  readonly metres: { readonly 8: number; readonly 16: number };
  /** Depths in metres at the ends of the palette. */
  readonly near: number;
  readonly far: number;
}

interface LabelRender {
  readonly kind: "labels";
  /** Labels are 0 to `count` − 1; 0 means unlabelled. */
  readonly count: number;
}

/** The colour of every value of a map. */
export interface Paint {
  color(value: number, bits: 8 | 16): Rgb;
}

const black: Rgb = [0, 0, 0];
/** Yellow to dark red: hues of the depth family. */
const fixedPalette: DepthPalette = {
  nearHue: 1.15,
  farHue: 0.95,
  nearValue: 1,
  farValue: 0.15,
  saturation: 0.8,
};

/**
 * The colours of a set's maps: fixed, or random with `random`. Missing measurements (0) are black.
 */
export function paintOf(render: Render, random?: Random): Paint {
  if (render.kind === "depth") {
    const palette = random ? drawDepthPalette(random, "open") : fixedPalette;
    const { near, far, metres } = render;
    return {
      color(value, bits) {
        if (value === 0) return black;
        const position = (1 - near / (value * metres[bits])) / (1 - near / far);
        return paletteColor(palette, clamp(position));
      },
    };
  }
  const colors = labelColors(render.count, random);
  return { color: (value) => colors[value] ?? black };
}

/** Hues at golden-angle distances, in three brightnesses; label 0 is black. */
function labelColors(count: number, random?: Random): readonly Rgb[] {
  const start = random ? random.uniform() : 0;
  const colors = Array.from({ length: count - 1 }, (_, i) =>
    hsv(start + i * 0.618034, i % 2 ? 0.55 : 0.9, [1, 0.75, 0.5][i % 3]!),
  );
  return [black, ...(random ? random.shuffle(colors) : colors)];
}

/**
 * Renders a map of one channel, 8 or 16 bits, as a square picture: central crop, nearest-neighbour scaling.
 * @throws Error for another kind of picture, or a broken one
 */
export async function renderMap(source: string | Uint8Array, size: number, paint: Paint): Promise<Image> {
  const { width, height, bits, values } = await readMap(source);
  const edge = Math.min(width, height);
  const [left, top] = [(width - edge) / 2, (height - edge) / 2];
  const image = createImage(size, size);
  const at = (i: number, from: number, most: number) =>
    Math.min(Math.floor(from + ((i + 0.5) * edge) / size), most - 1);
  for (let y = 0; y < size; y++) {
    const row = at(y, top, height) * width;
    for (let x = 0; x < size; x++) {
      image.data.set(paint.color(values[row + at(x, left, width)]!, bits), (y * size + x) * 3);
    }
  }
  return image;
}

interface ValueMap {
  readonly width: number;
  readonly height: number;
  readonly bits: 8 | 16;
  /** Row-major. */
  readonly values: Uint8Array | Uint16Array;
}

async function readMap(source: string | Uint8Array): Promise<ValueMap> {
  const picture = sharp(source, { failOn: "error", limitInputPixels: maxPixels });
  try {
    const { depth, space, channels } = await picture.metadata();
    if ((depth !== "uchar" && depth !== "ushort") || !["b-w", "grey16"].includes(space) || channels !== 1) {
      throw new Error(`expected one channel of 8 or 16 bits, got ${channels} (${space}, ${depth})`);
    }
    const grey = picture.toColourspace(depth === "uchar" ? "b-w" : "grey16");
    const { data, info } = await grey.raw({ depth }).toBuffer({ resolveWithObject: true });
    const { width, height } = info;
    if (depth === "uchar") return { width, height, bits: 8, values: data };
    return { width, height, bits: 16, values: new Uint16Array(Uint8Array.from(data).buffer) };
  } catch (error) {
    throw new Error(`map: ${firstLineOf(error)}`);
  }
}
