/**
 * @file Fifteen changes of photographs, no change, and two more restorations. Tone changes map colours pixel by pixel, so
 * a colour fit can explain them; the others depend on positions and neighbours. Lengths are in picture widths.
 */
import { gaussianBlur, luma, mapPixels, mapValues, type PixelMap, rearrange } from "../../image/filters.ts";
import type { Image } from "../../image/index.ts";
import { overlay, paintStrokes, type Stroke } from "../../image/paint.ts";
import type { Random } from "../../random.ts";

export interface PhotoPair {
  readonly input: Image;
  readonly output: Image;
}

/** A change with fixed parameters. `random` determines what differs between pictures, such as the positions of drops. */
export type Changer = (photograph: Image, random: Random) => PhotoPair;

export interface PhotoChange {
  readonly name: string;
  /** `more`: not one of the fifteen, measured because there are expert models for it. */
  readonly kind: "tone" | "place" | "nothing" | "more";
  /** For restorations: the family whose classical filter applies. */
  readonly restores?: string;
  /** Samples the parameters. */
  draw(random: Random): Changer;
}

const forwards =
  (change: (image: Image, random: Random) => Image): Changer =>
  (image, random) => ({ input: image, output: change(image, random) });

const backwards =
  (change: (image: Image, random: Random) => Image): Changer =>
  (image, random) => ({ input: change(image, random), output: image });

const byPixel = (map: PixelMap): Changer => forwards((image) => mapPixels(image, map));

/** Rows: the new red, green and blue as weighted sums of the three channels. */
const SEPIA = [
  [0.393, 0.769, 0.189],
  [0.349, 0.686, 0.168],
  [0.272, 0.534, 0.131],
] as const;

function sepia(random: Random): Changer {
  const strength = random.uniform(0.6, 1);
  return byPixel((r, g, b, out, at) => {
    for (const [c, [fromR, fromG, fromB]] of SEPIA.entries()) {
      const old = [r, g, b][c]!;
      out[at + c] = old + strength * (fromR * r + fromG * g + fromB * b - old);
    }
  });
}

function darken(random: Random): Changer {
  const gain = random.uniform(0.3, 0.6);
  return forwards((image) => mapValues(image, (value) => gain * value));
}

function brighten(random: Random): Changer {
  const [gain, gamma] = [random.uniform(0.2, 0.45), random.uniform(1, 1.3)];
  return backwards((image) => mapValues(image, (value) => gain * value ** gamma));
}

/** Moves shadows towards teal and highlights towards orange, along a smooth curve of the luma. */
function grade(random: Random): Changer {
  const strength = random.uniform(0.6, 1.2);
  const [teal, orange] = [
    [-0.1, 0.05, 0.11],
    [0.12, 0.02, -0.12],
  ];
  return byPixel((r, g, b, out, at) => {
    const l = luma(r, g, b);
    const light = l * l * (3 - 2 * l);
    for (const [c, old] of [r, g, b].entries())
      out[at + c] = old + strength * ((1 - light) * teal[c]! + light * orange[c]!);
  });
}

const invert = (): Changer => forwards((image) => mapValues(image, (value) => 1 - value));

const blackAndWhite = (): Changer => byPixel((r, g, b, out, at) => out.fill(luma(r, g, b), at, at + 3));

/** Maps black and white to two colours. */
function duotone(random: Random): Changer {
  const dark = [0, 1, 2].map(() => random.uniform(0, 0.4));
  const light = [0, 1, 2].map(() => random.uniform(0.6, 1));
  return byPixel((r, g, b, out, at) => {
    const l = luma(r, g, b);
    for (let c = 0; c < 3; c++) out[at + c] = dark[c]! + (light[c]! - dark[c]!) * l;
  });
}

function drawBlur(random: Random): (image: Image) => Image {
  const deviation = random.uniform(0.01, 0.025);
  return (image) => gaussianBlur(image, deviation * image.width);
}

function drawRain(random: Random): (image: Image, random: Random) => Image {
  const slant = random.uniform(-0.5, 0.5);
  const length = random.uniform(0.1, 0.25);
  const drops = random.integer(60, 120);
  const look = {
    radius: random.uniform(0.004, 0.009),
    color: [0.85, 0.88, 0.92],
    opacity: random.uniform(0.5, 0.8),
  };
  return (image, place) => {
    const strokes = Array.from({ length: drops }, (): Stroke => {
      const [x, y] = [place.uniform(-0.1, 1.1), place.uniform(-0.1, 1)];
      return [x, y, x + length * Math.sin(slant), y + length * Math.cos(slant)];
    });
    return paintStrokes(image, strokes, look);
  };
}

/** Divides grey by its blur: flat parts become white, edges become pencil strokes. */
function sketch(random: Random): Changer {
  const deviation = random.uniform(0.01, 0.02);
  return forwards((image) => {
    const grey = mapPixels(image, (r, g, b, out, at) => out.fill(luma(r, g, b), at, at + 3));
    const blurred = gaussianBlur(grey, deviation * image.width);
    return mapValues(grey, (value, i) => value / Math.max(blurred.data[i]!, 1 / 255));
  });
}

function vignette(random: Random): Changer {
  const start = random.uniform(0.15, 0.35);
  const cover = (x: number, y: number) => (Math.hypot(x - 0.5, y - 0.5) - start) / (0.75 - start);
  return forwards((image) => overlay(image, [0, 0, 0], cover));
}

const mirror = (): Changer =>
  forwards((image) =>
    rearrange(image, (x, y, at) => {
      at[0] = image.width - 1 - x;
      at[1] = y;
    }),
  );

function removeDot(random: Random): Changer {
  const radius = random.uniform(0.05, 0.1);
  return backwards((image, place) => {
    const [x, y] = [place.uniform(0.2, 0.8), place.uniform(0.2, 0.8)];
    return paintStrokes(image, [[x, y, x, y]], { radius, color: [0.85, 0.1, 0.1], opacity: 1 });
  });
}

function addNoise(random: Random): Changer {
  const deviation = random.uniform(0.06, 0.12);
  return backwards((image, place) => mapValues(image, (value) => value + deviation * place.normal()));
}

/** Adds a light grey veil that is denser towards the top, where things are farther away. */
function addHaze(random: Random): Changer {
  const [veil, near, far] = [
    random.uniform(0.75, 0.95),
    random.uniform(0.15, 0.3),
    random.uniform(0.55, 0.8),
  ];
  return backwards((image) => overlay(image, [veil, veil, veil], (_x, y) => far + (near - far) * y));
}

export const photoChanges: readonly PhotoChange[] = [
  { name: "sepia", kind: "tone", draw: sepia },
  { name: "darken", kind: "tone", draw: darken },
  { name: "brighten", kind: "tone", restores: "lowLightEnhancement", draw: brighten },
  { name: "grade", kind: "tone", draw: grade },
  { name: "invert", kind: "tone", draw: invert },
  { name: "blackAndWhite", kind: "tone", draw: blackAndWhite },
  { name: "duotone", kind: "tone", draw: duotone },
  { name: "blur", kind: "place", draw: (random) => forwards(drawBlur(random)) },
  { name: "deblur", kind: "place", restores: "deblur", draw: (random) => backwards(drawBlur(random)) },
  { name: "addRain", kind: "place", draw: (random) => forwards(drawRain(random)) },
  { name: "derain", kind: "place", restores: "derain", draw: (random) => backwards(drawRain(random)) },
  { name: "sketch", kind: "place", draw: sketch },
  { name: "vignette", kind: "place", draw: vignette },
  { name: "mirror", kind: "place", draw: mirror },
  { name: "removeDot", kind: "place", restores: "inpainting", draw: removeDot },
  { name: "denoise", kind: "more", restores: "denoise", draw: addNoise },
  { name: "dehaze", kind: "more", restores: "dehaze", draw: addHaze },
  { name: "nothing", kind: "nothing", draw: () => forwards((image) => image) },
];
