/** @file Weather and light: rain, snow, haze, darkness; and their removal. */
import { mapValues } from "../../image/filters.ts";
import { overlay, paintStrokes, type Stroke } from "../../image/paint.ts";
import type { Random } from "../../random.ts";
import { bothWays, ofAnyPicture, type ReversibleChange, type TaskFamily } from "../task.ts";
import type { Rgb } from "../world/scene.ts";
import { fromPicture } from "./source.ts";

/** As heavy as in Rain100H: for lighter rain, leaving the picture unchanged would be a good answer. */
function drawRain(random: Random): ReversibleChange {
  const slant = random.uniform(-0.6, 0.6);
  const drops = random.integer(70, 130);
  const length = random.uniform(0.14, 0.3);
  const color = random.pick(["white", "gray", "blue"]);
  const look = {
    radius: random.uniform(0.009, 0.015),
    color: { white: [0.95, 0.97, 1], gray: [0.6, 0.64, 0.7], blue: [0.5, 0.68, 0.95] }[color]!,
    opacity: random.uniform(0.6, 0.85),
  };
  return {
    parameters: { slant, drops, length, color },
    images: fromPicture(({ image }, pairRandom) => {
      const strokes = Array.from({ length: drops }, (): Stroke => {
        const [x, y] = [pairRandom.uniform(-0.1, 1.1), pairRandom.uniform(-0.1, 1)];
        const long = length * pairRandom.uniform(0.7, 1.2);
        return [x, y, x + long * Math.sin(slant), y + long * Math.cos(slant)];
      });
      return paintStrokes(
        mapValues(image, (value) => 0.06 + value * 0.84),
        strokes,
        look,
      );
    }),
    words: {
      instructions: ["make it rain", "add rain", `let ${color} rain fall`],
      differences: [`${color} rain falls in the output image`, "it rains in the output image"],
    },
    reverseWords: {
      instructions: ["remove the rain", "stop the rain", "clean the rain from the picture"],
      differences: [`the ${color} rain of the input image is gone`, "it no longer rains in the output image"],
    },
  };
}

function drawSnow(random: Random): ReversibleChange {
  const flakes = random.integer(20, 55);
  const radius = random.uniform(0.014, 0.03);
  const wind = random.uniform(-0.05, 0.05);
  return {
    parameters: { flakes, radius, wind },
    images: fromPicture(({ image }, pairRandom) => {
      const strokes = Array.from({ length: flakes }, (): Stroke => {
        const [x, y] = [pairRandom.uniform(), pairRandom.uniform()];
        return [x, y, x + wind, y + Math.abs(wind) / 2];
      });
      return paintStrokes(
        mapValues(image, (value) => 0.08 + value * 0.88),
        strokes,
        {
          radius,
          color: [1, 1, 1],
          opacity: 0.92,
        },
      );
    }),
    words: {
      instructions: ["make it snow", "add falling snow"],
      differences: ["snow falls in the output image"],
    },
    reverseWords: {
      instructions: ["remove the falling snow", "stop the snow"],
      differences: ["the falling snow of the input image is gone"],
    },
  };
}

const airs: Readonly<Record<string, Rgb>> = {
  white: [0.93, 0.95, 0.97],
  gray: [0.66, 0.69, 0.73],
  blue: [0.62, 0.74, 0.9],
  yellow: [0.92, 0.82, 0.56],
};

/** Assumed depth of pictures with unknown depth: a ground that rises to a horizon at the top. In world units. */
const distanceAt = (y: number): number => 4 + 16 * (1 - y) ** 2;

function drawHaze(random: Random): ReversibleChange {
  const color = random.pick(Object.keys(airs));
  const density = random.uniform(0.06, 0.18);
  return {
    parameters: { color, density },
    images: fromPicture(({ image, depth }) =>
      overlay(image, airs[color]!, (_x, y, i) => 1 - Math.exp(-density * (depth?.[i] ?? distanceAt(y)))),
    ),
    words: {
      instructions: [`add ${color} haze`, "make it foggy"],
      differences: [`${color} haze lies over the output image`],
    },
    reverseWords: {
      instructions: [`remove the ${color} haze`, "clear the fog"],
      differences: [`the ${color} haze of the input image is gone`],
    },
  };
}

function drawLowLight(random: Random): ReversibleChange {
  const gain = random.uniform(0.18, 0.36);
  const gamma = random.uniform(1, 1.4);
  const grain = random.uniform(0, 0.02);
  return {
    parameters: { gain, gamma, grain },
    images: fromPicture(
      ({ image }, pairRandom) =>
        mapValues(image, (value) => gain * value ** gamma + pairRandom.normal(0, grain)),
      { times: ["day", "sunset"] },
    ),
    words: {
      instructions: ["darken it as if there were little light", "turn the lights down low"],
      differences: ["the output image is taken in very low light"],
    },
    reverseWords: {
      instructions: ["brighten the dark picture", "enhance the low light"],
      differences: ["the output image is well lit while the input image is very dark"],
    },
  };
}

export const weatherFamilies: readonly TaskFamily[] = ofAnyPicture([
  ...bothWays(["rain", "low-level"], ["derain", "low-level"], drawRain),
  ...bothWays(["snow", "low-level"], ["desnow", "low-level"], drawSnow),
  ...bothWays(["haze", "low-level"], ["dehaze", "low-level"], drawHaze),
  ...bothWays(["lowLight", "low-level"], ["lowLightEnhancement", "low-level"], drawLowLight),
]);
