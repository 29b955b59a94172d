/** @file Known changes of photographs at any size. Lengths and positions are relative to the picture. */
import { gaussianBlur, luma, mapPixels, type PixelMap, resample } from "../src/image/filters.ts";
import { createImage, type Image } from "../src/image/index.ts";
import type { Random } from "../src/tasks/index.ts";

/** The picture before and after the change. */
export interface Changed {
  readonly input: Image;
  readonly output: Image;
}

/** Makes a pair from a photograph. `random` chooses random positions. */
export type KnownChange = (photo: Image, random: Random) => Changed;

const tone =
  (map: PixelMap): KnownChange =>
  (input) => ({ input, output: mapPixels(input, map) });

const each = (change: (value: number) => number): KnownChange =>
  tone((r, g, b, out, at) => {
    out[at] = change(r);
    out[at + 1] = change(g);
    out[at + 2] = change(b);
  });

/** Colours by luma, from dark to light. */
const ramp =
  (dark: readonly number[], light: readonly number[]): PixelMap =>
  (r, g, b, out, at) => {
    const l = luma(r, g, b);
    for (let c = 0; c < 3; c++) out[at + c] = dark[c]! + (light[c]! - dark[c]!) * l;
  };

/** Changes pixels depending on their position, x and y from 0 to 1. */
function byPlace(
  image: Image,
  change: (x: number, y: number, color: readonly [number, number, number]) => readonly number[],
): Image {
  const { width, height, data } = image;
  const out = createImage(width, height);
  for (let y = 0, i = 0; y < height; y++)
    for (let x = 0; x < width; x++, i += 3) {
      const color = change((x + 0.5) / width, (y + 0.5) / height, [data[i]!, data[i + 1]!, data[i + 2]!]);
      for (let c = 0; c < 3; c++) out.data[i + c] = Math.min(Math.max(color[c]!, 0), 1);
    }
  return out;
}

/** A Gaussian blur whose deviation is a share of the width. */
function blurred(image: Image, share: number): Image {
  return gaussianBlur(image, share * image.width);
}

/** Adds a red disc with a soft edge of one pixel. */
function withDisc(image: Image, random: Random): Image {
  const [cx, cy, radius] = [
    random.uniform(0.25, 0.75),
    random.uniform(0.25, 0.75),
    random.uniform(0.08, 0.14),
  ];
  const edge = 1 / image.width;
  return byPlace(image, (x, y, color) => {
    const inside = Math.min(Math.max((radius - Math.hypot(x - cx, y - cy)) / edge + 0.5, 0), 1);
    return [0.85, 0.1, 0.1].map((red, c) => color[c]! + (red - color[c]!) * inside);
  });
}

/** Adds slanted bright streaks, 1/150 of the width wide. */
function withRain(image: Image, random: Random): Image {
  const drops = Array.from(
    { length: 60 },
    () => [random.uniform(0, 1), random.uniform(-0.1, 1), random.uniform(0.08, 0.2)] as const,
  );
  const width = 1 / 150;
  const light = new Float32Array(image.width * image.height);
  for (const [left, top, length] of drops) {
    const [y0, y1] = [top, top + length].map((y) => Math.round(y * image.height)) as [number, number];
    for (let y = Math.max(0, y0); y < Math.min(image.height, y1); y++) {
      const centre = (left - 0.25 * ((y - y0) / image.height)) * image.width;
      const reach = width * image.width;
      for (
        let x = Math.max(0, Math.floor(centre - reach));
        x <= Math.min(image.width - 1, centre + reach);
        x++
      ) {
        const share = Math.max(0, 1 - Math.abs(x - centre) / reach);
        light[y * image.width + x] = Math.max(light[y * image.width + x]!, 0.55 * share);
      }
    }
  }
  let p = 0;
  return mapPixels(image, (r, g, b, out, at) => {
    const a = light[p++]!;
    out[at] = r + (0.85 - r) * a;
    out[at + 1] = g + (0.88 - g) * a;
    out[at + 2] = b + (0.92 - b) * a;
  });
}

const smoothstep = (from: number, to: number, x: number): number => {
  const t = Math.min(Math.max((x - from) / (to - from), 0), 1);
  return t * t * (3 - 2 * t);
};

export const knownChanges: Readonly<Record<string, KnownChange>> = {
  nothing: (input) => ({ input, output: input }),
  sepia: tone((r, g, b, out, at) => {
    out[at] = 0.393 * r + 0.769 * g + 0.189 * b;
    out[at + 1] = 0.349 * r + 0.686 * g + 0.168 * b;
    out[at + 2] = 0.272 * r + 0.534 * g + 0.131 * b;
  }),
  darken: each((value) => 0.45 * value),
  brighten: each((value) => 1.2 * value ** 0.7),
  "teal-orange": tone((r, g, b, out, at) => {
    const l = luma(r, g, b);
    const t = smoothstep(0.2, 0.8, l);
    out[at] = r * 0.9 + (t - 0.5) * 0.22;
    out[at + 1] = g * 0.95 + 0.02;
    out[at + 2] = b * 0.9 - (t - 0.5) * 0.2;
  }),
  invert: each((value) => 1 - value),
  "black and white": tone((r, g, b, out, at) => out.fill(luma(r, g, b), at, at + 3)),
  duotone: tone(ramp([0.15, 0.05, 0.35], [1, 0.85, 0.45])),
  solarize: each((value) => (value > 0.55 ? 1 - value : value)),
  vignette: (input) => ({
    input,
    output: byPlace(input, (x, y, color) => {
      const gain = 1 - 0.85 * smoothstep(0.25, 0.72, Math.hypot(x - 0.5, y - 0.5));
      return color.map((value) => value * gain);
    }),
  }),
  spotlight: (input, random) => {
    const [cx, cy] = [random.uniform(0.2, 0.8), random.uniform(0.2, 0.8)];
    return {
      input,
      output: byPlace(input, (x, y, color) => {
        const gain = 0.5 + 1.1 * Math.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 0.045);
        return color.map((value, c) => value * gain * [1.05, 1, 0.85][c]!);
      }),
    };
  },
  "recolor reds and yellows": tone((r, g, b, out, at) => {
    const warm = smoothstep(0.05, 0.25, r - b);
    out[at] = r + (b - r) * warm;
    out[at + 1] = g;
    out[at + 2] = b + (r - b) * warm;
  }),
  blur: (input) => ({ input, output: blurred(input, 1.2 / 64) }),
  deblur: (output) => ({ input: blurred(output, 1 / 64), output }),
  mirror: (input) => ({
    input,
    output: resample(input, (x, y, at) => {
      at[0] = input.width - 1 - x;
      at[1] = y;
    }),
  }),
  "remove red dot": (output, random) => ({ input: withDisc(output, random), output }),
  "add red dot": (input, random) => ({ input, output: withDisc(input, random) }),
  rain: (input, random) => ({ input, output: withRain(input, random) }),
  derain: (output, random) => ({ input: withRain(output, random), output }),
};
