/** @file Low-level: weather, grain, blur, darkness, coarse coding and holes come over the picture; and go again. */
import { compressBlocks } from "../../image/blockCompression.ts";
import {
  enlarge,
  gaussianBlur,
  mapValues,
  motionBlur,
  overlay,
  paintStroke,
  shrink,
} from "../../image/filters.ts";
import type { Image } from "../../image/image.ts";
import type { Random } from "../../random.ts";
import { bothWays, type ReversibleChange, type TaskFamily } from "../task.ts";
import { colorNames, colors, type Rgb } from "../world/scene.ts";
import { from } from "./source.ts";

/** A stroke from (x0, y0) to (x1, y1) in picture widths. */
type Stroke = readonly [number, number, number, number];

/** The picture with many strokes of one look painted on a copy of it. */
function strew(
  image: Image,
  strokes: readonly Stroke[],
  look: { readonly radius: number; readonly color: readonly number[]; readonly opacity: number },
): Image {
  const out: Image = { ...image, data: image.data.slice() };
  for (const stroke of strokes) paintStroke(out, stroke, look.radius, look.color, look.opacity);
  return out;
}

function drawRain(random: Random): ReversibleChange {
  const slant = random.uniform(-0.6, 0.6);
  const drops = random.integer(24, 60);
  const length = random.uniform(0.14, 0.3);
  const color = random.pick(["white", "gray", "blue"]);
  const look = {
    radius: random.uniform(0.009, 0.014),
    color: { white: [0.95, 0.97, 1], gray: [0.6, 0.64, 0.7], blue: [0.5, 0.68, 0.95] }[color]!,
    opacity: random.uniform(0.55, 0.8),
  };
  return {
    parameters: { slant, drops, length, color },
    images: from(({ image }, pairRandom) => {
      const strokes = Array.from({ length: drops }, (): Stroke => {
        const [x, y] = [pairRandom.uniform(-0.1, 1.1), pairRandom.uniform(-0.1, 1)];
        const long = length * pairRandom.uniform(0.7, 1.2);
        return [x, y, x + long * Math.sin(slant), y + long * Math.cos(slant)];
      });
      return strew(
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
    images: from(({ image }, pairRandom) => {
      const strokes = Array.from({ length: flakes }, (): Stroke => {
        const [x, y] = [pairRandom.uniform(), pairRandom.uniform()];
        return [x, y, x + wind, y + Math.abs(wind) / 2];
      });
      return strew(
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

function drawNoise(random: Random): ReversibleChange {
  const kind = random.pick(["gray", "color", "speckle"]);
  const strength = random.uniform(0.07, 0.16);
  const grains = random.pick([32, 64]);
  return {
    parameters: { kind, strength, grains },
    images: from(({ image, size }, pairRandom) => {
      const values = new Float32Array(grains * grains * 3);
      for (let i = 0; i < values.length; i += 3) {
        const hit = pairRandom.uniform();
        for (let c = 0; c < 3; c++) {
          if (kind === "speckle") values[i + c] = hit < strength / 2 ? -1 : hit > 1 - strength / 2 ? 1 : 0;
          else values[i + c] = kind === "gray" && c > 0 ? values[i] : pairRandom.normal(0, strength);
        }
      }
      const noise = enlarge({ width: grains, height: grains, data: values }, size, "blocks");
      return mapValues(image, (value, i) => value + noise.data[i]);
    }),
    words: {
      instructions: [`add ${kind} noise`, "make the picture grainy"],
      differences: [`the output image has ${kind} noise`],
    },
    reverseWords: {
      instructions: [`remove the ${kind} noise`, "denoise the picture"],
      differences: [`the ${kind} noise of the input image is gone`],
    },
  };
}

const blurWords = (blur: string): Pick<ReversibleChange, "words" | "reverseWords"> => ({
  words: {
    instructions: [`add ${blur}`, `give the picture ${blur}`],
    differences: [`the output image has ${blur}`],
  },
  reverseWords: {
    instructions: [`remove the ${blur}`, "make the picture sharp"],
    differences: [`the ${blur} of the input image is gone`, "the output image is sharp"],
  },
});

function drawBlur(random: Random): ReversibleChange {
  const deviation = random.uniform(0.025, 0.06);
  return {
    parameters: { deviation },
    images: from(({ image, size }) => gaussianBlur(image, deviation * size)),
    ...blurWords("blur"),
  };
}

function drawMotionBlur(random: Random): ReversibleChange {
  const angle = random.uniform(0, Math.PI);
  const length = random.uniform(0.14, 0.3);
  return {
    parameters: { angle, length },
    images: from(({ image, size }) => motionBlur(image, length * size, angle)),
    ...blurWords("motion blur"),
  };
}

const airs: Readonly<Record<string, Rgb>> = {
  white: [0.93, 0.95, 0.97],
  gray: [0.66, 0.69, 0.73],
  blue: [0.62, 0.74, 0.9],
  yellow: [0.92, 0.82, 0.56],
};

function drawHaze(random: Random): ReversibleChange {
  const color = random.pick(Object.keys(airs));
  const density = random.uniform(0.06, 0.18);
  return {
    parameters: { color, density },
    images: from(({ image, depth }) =>
      overlay(image, airs[color], (_x, _y, i) => 1 - Math.exp(-density * depth[i])),
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
    images: from(
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

function drawJpeg(random: Random): ReversibleChange {
  const quality = random.integer(3, 12);
  return {
    parameters: { quality },
    images: from(({ image }) => compressBlocks(image, quality)),
    words: {
      instructions: ["compress it strongly", "add compression artifacts"],
      differences: ["the output image shows strong compression artifacts"],
    },
    reverseWords: {
      instructions: ["remove the compression artifacts", "repair the compressed picture"],
      differences: ["the compression artifacts of the input image are gone"],
    },
  };
}

function drawDownsample(random: Random): ReversibleChange {
  const pixels = random.pick([8, 12, 16]);
  const look = random.pick(["blocks", "smooth"] as const);
  return {
    parameters: { pixels, look },
    images: from(({ image, size }) => enlarge(shrink(image, pixels), size, look)),
    words: {
      instructions: ["lower the resolution", `reduce it to ${pixels} pixels`],
      differences: [`the output image has a resolution of only ${pixels} pixels`],
    },
    reverseWords: {
      instructions: ["raise the resolution", "restore the fine details"],
      differences: ["the output image has a higher resolution"],
    },
  };
}

function drawHoles(random: Random): ReversibleChange {
  const shape = random.pick(["box", "disc", "scratch"]);
  const color = random.pick(colorNames);
  const count = random.integer(1, 3);
  const size = shape === "scratch" ? random.uniform(0.02, 0.035) : random.uniform(0.1, 0.24 - 0.04 * count);
  const many = count > 1;
  const things = many ? { box: "boxes", disc: "discs", scratch: "scratches" }[shape]! : shape;
  return {
    parameters: { shape, color, count, size },
    images: from(({ image }, pairRandom) => {
      const strokes = Array.from({ length: count }, (): Stroke => {
        const [x, y] = [pairRandom.uniform(0.2, 0.8), pairRandom.uniform(0.25, 0.8)];
        if (shape !== "scratch") return [x, y, x, y];
        const angle = pairRandom.uniform(0, Math.PI);
        const [dx, dy] = [0.35 * Math.cos(angle), 0.35 * Math.sin(angle)];
        return [x - dx, y - dy, x + dx, y + dy];
      });
      if (shape !== "box") return strew(image, strokes, { radius: size, color: colors[color], opacity: 1 });
      return overlay(image, colors[color], (x, y) =>
        strokes.some(([left, top]) => Math.max(Math.abs(x - left), Math.abs(y - top)) < size) ? 1 : 0,
      );
    }),
    words: {
      instructions: [
        `cover parts with ${color} ${many ? things : `${shape}`}`,
        "mask out parts of the picture",
      ],
      differences: [`${count} ${color} ${things} cover${many ? "" : "s"} parts of the output image`],
    },
    reverseWords: {
      instructions: [`fill in what the ${color} ${things} hide`, "inpaint the masked parts"],
      differences: [`the ${color} ${things} of the input image ${many ? "are" : "is"} filled in`],
    },
  };
}

function drawVignette(random: Random): ReversibleChange {
  const color = random.pick(["black", "white", "brown", "blue"] as const);
  const start = random.uniform(0.15, 0.35);
  return {
    parameters: { color, start },
    images: from(({ image }) =>
      overlay(image, colors[color], (x, y) => ((Math.hypot(x - 0.5, y - 0.5) - start) / (0.7 - start)) * 1.2),
    ),
    words: {
      instructions: [`add a ${color} vignette`, `fade the corners to ${color}`],
      differences: [`the corners of the output image fade to ${color}`],
    },
    reverseWords: {
      instructions: [`remove the ${color} vignette`, "restore the faded corners"],
      differences: [`the ${color} corners of the input image are restored`],
    },
  };
}

export const lowLevelFamilies: readonly TaskFamily[] = [
  ...bothWays(["rain", "low-level"], ["derain", "low-level"], drawRain),
  ...bothWays(["snow", "low-level"], ["desnow", "low-level"], drawSnow),
  ...bothWays(["noise", "low-level"], ["denoise", "low-level"], drawNoise),
  ...bothWays(["blur", "low-level"], ["deblur", "low-level"], drawBlur),
  ...bothWays(["motionBlur", "low-level"], ["motionDeblur", "low-level"], drawMotionBlur),
  ...bothWays(["haze", "low-level"], ["dehaze", "low-level"], drawHaze),
  ...bothWays(["lowLight", "low-level"], ["lowLightEnhancement", "low-level"], drawLowLight),
  ...bothWays(["jpeg", "low-level"], ["dejpeg", "low-level"], drawJpeg),
  ...bothWays(["downsample", "low-level"], ["superResolution", "low-level"], drawDownsample),
  ...bothWays(["holes", "low-level"], ["inpainting", "low-level"], drawHoles),
  ...bothWays(["vignette", "low-level"], ["devignette", "low-level"], drawVignette),
];
