/** @file Low-level degradations: grain, blur, coarse coding, holes and dark corners; and their removal. */
import { compressBlocks } from "../../image/block-compression.ts";
import { enlarge, gaussianBlur, mapValues, motionBlur, shrink } from "../../image/filters.ts";
import { overlay, paintStrokes, type Stroke } from "../../image/paint.ts";
import type { Random } from "../../random.ts";
import { bothWays, ofAnyPicture, type ReversibleChange } from "../task.ts";
import { colorNames, colors } from "../world/scene.ts";
import { fromPicture } from "./source.ts";

function drawNoise(random: Random): ReversibleChange {
  const kind = random.pick(["gray", "color", "speckle"]);
  const strength = random.uniform(0.07, 0.16);
  const grains = random.pick([32, 64]);
  return {
    parameters: { kind, strength, grains },
    images: fromPicture(({ image, size }, pairRandom) => {
      const values = new Float32Array(grains * grains * 3);
      for (let i = 0; i < values.length; i += 3) {
        const hit = pairRandom.uniform();
        for (let c = 0; c < 3; c++) {
          if (kind === "speckle") values[i + c] = hit < strength / 2 ? -1 : hit > 1 - strength / 2 ? 1 : 0;
          else values[i + c] = kind === "gray" && c > 0 ? values[i]! : pairRandom.normal(0, strength);
        }
      }
      const noise = enlarge({ width: grains, height: grains, data: values }, size, "blocks");
      return mapValues(image, (value, i) => value + noise.data[i]!);
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
    images: fromPicture(({ image, size }) => gaussianBlur(image, deviation * size)),
    ...blurWords("blur"),
  };
}

function drawMotionBlur(random: Random): ReversibleChange {
  const angle = random.uniform(0, Math.PI);
  const length = random.uniform(0.14, 0.3);
  return {
    parameters: { angle, length },
    images: fromPicture(({ image, size }) => motionBlur(image, length * size, angle)),
    ...blurWords("motion blur"),
  };
}

function drawJpeg(random: Random): ReversibleChange {
  const quality = random.integer(4, 14);
  return {
    parameters: { quality },
    images: fromPicture(({ image }) => compressBlocks(image, quality)),
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
    images: fromPicture(({ image, size }) => enlarge(shrink(image, pixels), size, look)),
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
    images: fromPicture(({ image }, pairRandom) => {
      const strokes = Array.from({ length: count }, (): Stroke => {
        const [x, y] = [pairRandom.uniform(0.2, 0.8), pairRandom.uniform(0.25, 0.8)];
        if (shape !== "scratch") return [x, y, x, y];
        const angle = pairRandom.uniform(0, Math.PI);
        const [dx, dy] = [0.35 * Math.cos(angle), 0.35 * Math.sin(angle)];
        return [x - dx, y - dy, x + dx, y + dy];
      });
      if (shape !== "box")
        return paintStrokes(image, strokes, { radius: size, color: colors[color], opacity: 1 });
      return overlay(image, colors[color], (x, y) =>
        strokes.some(([left, top]) => Math.max(Math.abs(x - left), Math.abs(y - top)) < size) ? 1 : 0,
      );
    }),
    words: {
      instructions: [`cover parts with ${color} ${things}`, "mask out parts of the picture"],
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
    images: fromPicture(({ image }) =>
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

export const lowLevelFamilies = ofAnyPicture([
  ...bothWays(["noise", "low-level"], ["denoise", "low-level"], drawNoise),
  ...bothWays(["blur", "low-level"], ["deblur", "low-level"], drawBlur),
  ...bothWays(["motionBlur", "low-level"], ["motionDeblur", "low-level"], drawMotionBlur),
  ...bothWays(["jpeg", "low-level"], ["dejpeg", "low-level"], drawJpeg),
  ...bothWays(["downsample", "low-level"], ["superResolution", "low-level"], drawDownsample),
  ...bothWays(["holes", "low-level"], ["inpainting", "low-level"], drawHoles),
  ...bothWays(["vignette", "low-level"], ["devignette", "low-level"], drawVignette),
]);
