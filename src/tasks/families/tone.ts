/** @file Tone: colours change pixel by pixel. */
import { luma, mapPixels, mapValues, type PixelMap, saturate } from "../../image/filters.ts";
import type { Random } from "../../random.ts";
import { bothWays, type Change, family, ofAnyPicture, type ReversibleChange } from "../task.ts";
import { type Color, colorNames, colors } from "../world/scene.ts";
import { fromPicture } from "./source.ts";

const byPixel = (map: PixelMap): Change["images"] => fromPicture(({ image }) => mapPixels(image, map));
const byValue = (map: (value: number) => number): Change["images"] =>
  fromPicture(({ image }) => mapValues(image, map));

function drawInvert(random: Random): Change {
  const channels = random.pick(["rgb", "rgb", "r", "g", "b", "rg", "rb", "gb"]);
  const flips = [..."rgb"].map((channel) => channels.includes(channel));
  const names = { r: "red", g: "green", b: "blue" } as Record<string, string>;
  const which =
    channels === "rgb" ? "colors" : `${[...channels].map((channel) => names[channel]).join(" and ")} channel`;
  return {
    parameters: { channels },
    images: byPixel((r, g, b, out, at) => {
      out[at] = flips[0] ? 1 - r : r;
      out[at + 1] = flips[1] ? 1 - g : g;
      out[at + 2] = flips[2] ? 1 - b : b;
    }),
    words: {
      instructions: [`invert the ${which}`, `make the ${which} negative`],
      differences: [`the output image has its ${which} inverted`],
    },
  };
}

function drawGrayscale(random: Random): ReversibleChange {
  const mode = random.pick(["luma", "red", "blue"]);
  return {
    parameters: { mode },
    images: byPixel((r, g, b, out, at) => {
      out.fill(mode === "luma" ? luma(r, g, b) : mode === "red" ? r : b, at, at + 3);
    }),
    words: {
      instructions: ["make it black and white", "turn the picture gray", "remove the colors"],
      differences: ["the output image is black and white", "the output image has lost its colors"],
    },
    reverseWords: {
      instructions: ["colorize the picture", "add colors to the black and white picture"],
      differences: ["the output image has colors while the input image is black and white"],
    },
  };
}

/** Two named colours whose lumas differ clearly. */
function drawInkAndPaper(random: Random): readonly [Color, Color] {
  const lightness = (name: Color) => {
    const [r, g, b] = colors[name];
    return luma(r, g, b);
  };
  const dark = random.pick(colorNames.filter((name) => lightness(name) < 0.5));
  const light = random.pick(colorNames.filter((name) => lightness(name) > lightness(dark) + 0.3));
  return [dark, light];
}

function drawDuotone(random: Random): ReversibleChange {
  const [dark, light] = drawInkAndPaper(random);
  const [from, to] = [colors[dark], colors[light]];
  return {
    parameters: { dark, light },
    images: byPixel((r, g, b, out, at) => {
      const l = luma(r, g, b);
      for (let c = 0; c < 3; c++) out[at + c] = from[c]! + (to[c]! - from[c]!) * l;
    }),
    words: {
      instructions: [`print it in ${dark} and ${light}`, `make a ${dark} and ${light} duotone`],
      differences: [`the output image has only shades between ${dark} and ${light}`],
    },
    reverseWords: {
      instructions: [`restore the colors of the ${dark} and ${light} print`, "bring back the natural colors"],
      differences: ["the output image has natural colors instead of two"],
    },
  };
}

const tints: readonly Color[] = ["red", "orange", "yellow", "green", "blue", "purple", "pink", "brown"];

function drawTint(random: Random): ReversibleChange {
  const color = random.pick(tints);
  const strength = random.uniform(0.45, 0.8);
  const scale = 0.85 / Math.max(...colors[color]);
  return {
    parameters: { color, strength },
    images: byPixel((r, g, b, out, at) => {
      const l = luma(r, g, b);
      const source = [r, g, b];
      for (let c = 0; c < 3; c++) {
        const tinted = l * (0.35 + colors[color][c]! * scale);
        out[at + c] = source[c]! + (tinted - source[c]!) * strength;
      }
    }),
    words: {
      instructions: [`tint the picture ${color}`, `look through ${color} glass`],
      differences: [`the output image is tinted ${color}`],
    },
    reverseWords: {
      instructions: [`remove the ${color} tint`, `correct the ${color} cast`],
      differences: [`the ${color} tint of the input image is gone`],
    },
  };
}

/** Rotation of colours about the gray axis by an angle in radians; keeps the mean of the channels. */
export function hueRotation(angle: number): PixelMap {
  const weight = (k: number) => (1 + 2 * Math.cos(angle - (2 * Math.PI * k) / 3)) / 3;
  const [same, next, last] = [weight(0), weight(1), weight(2)];
  return (r, g, b, out, at) => {
    out[at] = same * r + last * g + next * b;
    out[at + 1] = next * r + same * g + last * b;
    out[at + 2] = last * r + next * g + same * b;
  };
}

function drawHueRotation(random: Random): Change {
  const turns = random.uniform(0.15, 0.85);
  return {
    parameters: { turns },
    images: byPixel(hueRotation(2 * Math.PI * turns)),
    words: {
      instructions: ["shift all the hues", "rotate the colors around the color wheel"],
      differences: ["all hues of the output image are shifted around the color wheel"],
    },
  };
}

const permutations = ["rbg", "grb", "gbr", "brg", "bgr"] as const;

function drawPermutation(random: Random): Change {
  const order = random.pick(permutations);
  const source = [...order].map((channel) => "rgb".indexOf(channel));
  return {
    parameters: { order },
    images: byPixel((r, g, b, out, at) => {
      const old = [r, g, b];
      for (let c = 0; c < 3; c++) out[at + c] = old[source[c]!]!;
    }),
    words: {
      instructions: ["swap the color channels", "exchange red green and blue"],
      differences: ["the color channels of the output image are swapped"],
    },
  };
}

function drawBrightness(random: Random): ReversibleChange {
  const isBrighter = random.chance(0.5);
  const gain = isBrighter ? random.uniform(1.3, 1.8) : random.uniform(0.35, 0.7);
  const [what, opposite] = isBrighter ? ["brighter", "darker"] : ["darker", "brighter"];
  return {
    parameters: { gain },
    images: byValue((value) => value * gain),
    words: {
      instructions: [`make it ${what}`, `make the picture ${what}`],
      differences: [`the output image is ${what}`],
    },
    reverseWords: {
      instructions: [`make it ${opposite}`, "correct the exposure"],
      differences: [`the output image is ${opposite}, its exposure right`],
    },
  };
}

function drawContrast(random: Random): Change {
  const isMore = random.chance(0.5);
  const gain = isMore ? random.uniform(1.6, 2.4) : random.uniform(0.3, 0.6);
  const what = isMore ? "more" : "less";
  return {
    parameters: { gain },
    images: byValue((value) => 0.5 + (value - 0.5) * gain),
    words: {
      instructions: [`use ${what} contrast`, `give the picture ${what} contrast`],
      differences: [`the output image has ${what} contrast`],
    },
  };
}

function drawGamma(random: Random): Change {
  const isLighter = random.chance(0.5);
  const gamma = isLighter ? random.uniform(0.4, 0.65) : random.uniform(1.6, 2.6);
  return {
    parameters: { gamma },
    images: byValue((value) => value ** gamma),
    words: {
      instructions: [isLighter ? "lift the shadows" : "deepen the middle tones"],
      differences: [`the middle tones of the output image are ${isLighter ? "lighter" : "deeper"}`],
    },
  };
}

function drawSaturation(random: Random): Change {
  const isMore = random.chance(0.5);
  const gain = isMore ? random.uniform(1.7, 2.4) : random.uniform(0.15, 0.45);
  return {
    parameters: { gain },
    images: byPixel(saturate(gain)),
    words: {
      instructions: [isMore ? "make the colors vivid" : "make the colors pale"],
      differences: [`the colors of the output image are more ${isMore ? "vivid" : "pale"}`],
    },
  };
}

function drawPosterize(random: Random): ReversibleChange {
  const levels = random.integer(2, 4);
  return {
    parameters: { levels },
    images: byValue((value) => Math.min(Math.floor(value * levels), levels - 1) / (levels - 1)),
    words: {
      instructions: ["posterize the picture", `use only ${levels} levels of each color`],
      differences: [`the output image has only ${levels} levels of each color`],
    },
    reverseWords: {
      instructions: ["smooth the poster colors", "bring back the fine shades"],
      differences: ["the output image has smooth shades instead of few flat colors"],
    },
  };
}

function drawSolarize(random: Random): Change {
  const threshold = random.uniform(0.4, 0.65);
  return {
    parameters: { threshold },
    images: byValue((value) => (value > threshold ? 1 - value : value)),
    words: {
      instructions: ["solarize the picture", "invert only the bright tones"],
      differences: ["the bright tones of the output image are inverted"],
    },
  };
}

export const toneFamilies = ofAnyPicture([
  family("invert", "tone", drawInvert),
  ...bothWays(["grayscale", "tone"], ["colorize", "tone"], drawGrayscale),
  ...bothWays(["duotone", "tone"], ["unduotone", "tone"], drawDuotone),
  ...bothWays(["tint", "tone"], ["untint", "tone"], drawTint),
  family("hueRotation", "tone", drawHueRotation),
  family("channelPermutation", "tone", drawPermutation),
  ...bothWays(["brightness", "tone"], ["exposure", "tone"], drawBrightness),
  family("contrast", "tone", drawContrast),
  family("gamma", "tone", drawGamma),
  family("saturation", "tone", drawSaturation),
  ...bothWays(["posterize", "tone"], ["deposterize", "tone"], drawPosterize),
  family("solarize", "tone", drawSolarize),
]);
