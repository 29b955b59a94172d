/**
 * @file Perception: the picture becomes a map of its content, in colours that only the example shows. Reversed it is
 * controlled generation: the map becomes a picture.
 */
import { mapPixels } from "../../image/filters.ts";
import { createImage, type Image } from "../../image/image.ts";
import { overlay } from "../../image/paint.ts";
import { clamp } from "../../numbers.ts";
import type { Random } from "../../random.ts";
import { drawDepthPalette, drawDistinctColors, paletteColor } from "../palette.ts";
import {
  bothWays,
  type Change,
  family,
  type ReversibleChange,
  type TaskFamily,
  type Words,
} from "../task.ts";
import { withArticle } from "../world/caption.ts";
import type { Render } from "../world/render.ts";
import { classOf, colorNames, colors, type Rgb, shapes } from "../world/scene.ts";
import { skyDepth } from "../world/surroundings.ts";
import { outlines } from "./outlines.ts";
import { from } from "./source.ts";

/** Distance of the nearest possible surface, in world units. */
const nearestDepth = 3;

/** Maps planar depth (world units) to 0 for near up to 1 for the sky, linear in 1 / depth. */
export function depthPosition(depth: number): number {
  const position = (1 - nearestDepth / depth) / (1 - nearestDepth / skyDepth);
  return clamp(position);
}

/** A picture whose pixel i has the colour `colorAt(i)`. */
function paint(render: Render, colorAt: (pixel: number) => readonly number[]): Image {
  const out = createImage(render.image.width, render.image.height);
  for (let i = 0; i < render.depth.length; i++) out.data.set(colorAt(i), i * 3);
  return out;
}

const mapWords = (map: string): { words: Words; reverseWords: Words } => ({
  words: {
    instructions: [`turn the picture into its ${map}`, `show the ${map}`, `make ${withArticle(map)}`],
    differences: [`the output image is the ${map} of the input image`],
  },
  reverseWords: {
    instructions: [`make a picture from the ${map}`, `draw the scene of this ${map}`],
    differences: [`the output image is a picture of the scene while the input image is its ${map}`],
  },
});

const drawDepth =
  (hues: "open" | "reserved") =>
  (random: Random): ReversibleChange => {
    const palette = drawDepthPalette(random, hues);
    const table = Array.from({ length: 256 }, (_, i) => paletteColor(palette, i / 255));
    return {
      parameters: { ...palette },
      images: from((shot) => paint(shot, (i) => table[Math.round(depthPosition(shot.depth[i]!) * 255)]!)),
      ...mapWords("depth map"),
    };
  };

function drawNormals(random: Random): ReversibleChange {
  const axes = random.shuffle([0, 1, 2]);
  const signs = axes.map(() => (random.chance(0.5) ? 1 : -1));
  const code = axes.map((axis, c) => (signs[c]! > 0 ? "" : "-") + "xyz"[axis]).join(",");
  return {
    parameters: { code },
    images: from((shot) =>
      paint(shot, (i) => axes.map((axis, c) => 0.5 + 0.5 * signs[c]! * shot.normals[i * 3 + axis]!)),
    ),
    ...mapWords("normal map"),
  };
}

const hex = (color: readonly number[]): string =>
  `#${color
    .map((value) =>
      Math.round(value * 255)
        .toString(16)
        .padStart(2, "0"),
    )
    .join("")}`;

/** Both shapes are always present, so that one example shows the colour of every class. */
function drawSegmentation(random: Random): ReversibleChange {
  const [first, second] = random.pair(shapes);
  const [sky, ground, a, b] = drawDistinctColors(random, 4) as [Rgb, Rgb, Rgb, Rgb];
  const palette = new Map<number, Rgb>([
    [classOf("sky"), sky],
    [classOf("backdrop"), sky],
    [classOf("ground"), ground],
    [classOf(first), a],
    [classOf(second), b],
  ]);
  return {
    parameters: { background: hex(sky), ground: hex(ground), [first]: hex(a), [second]: hex(b) },
    images: from((shot) => paint(shot, (i) => palette.get(shot.classes[i]!)!), {
      wanted: [{ shape: first }, { shape: second }],
      allowed: ({ shape }) => shape === first || shape === second,
    }),
    ...mapWords("segmentation map"),
  };
}

/** The same number of objects in every pair, coloured in order from left to right. */
function drawInstances(random: Random): ReversibleChange {
  const count = random.integer(2, 3);
  const [background, ...palette] = drawDistinctColors(random, count + 1) as [Rgb, ...Rgb[]];
  return {
    parameters: { background: hex(background), order: palette.map(hex).join(" ") },
    images: from(
      (shot) => {
        const { objects } = shot.scene;
        const fromLeft = objects.toSorted((a, b) => a.x / a.z - b.x / b.z);
        const colorOf = [background, ...objects.map((object) => palette[fromLeft.indexOf(object)])];
        return paint(shot, (i) => colorOf[shot.segmentation[i]!]!);
      },
      { count },
    ),
    ...mapWords("instance map"),
  };
}

function drawEdges(random: Random): ReversibleChange {
  const [ink, paper] = random.pair(colorNames);
  return {
    parameters: { ink, paper },
    images: from((shot) => {
      const lines = outlines(shot);
      return paint(shot, (i) => (lines[i] ? colors[ink] : colors[paper]));
    }),
    words: {
      instructions: [`draw the edges ${ink} on ${paper}`, "turn the picture into its outlines"],
      differences: [`the output image shows only the outlines in ${ink} on ${paper}`],
    },
    reverseWords: {
      instructions: ["make a picture from the outlines", `fill in the ${ink} line drawing`],
      differences: ["the output image is a full picture of what the input image shows as outlines"],
    },
  };
}

/** Paints every object of one shape, the rest dark. The example shows the shape and the colours. */
function drawMask(random: Random): Change {
  const shape = random.pick(shapes);
  const [ink, paper] = random.pair(colorNames);
  return {
    parameters: { shape, ink, paper },
    images: from(
      (shot) => paint(shot, (i) => (shot.classes[i] === classOf(shape) ? colors[ink] : colors[paper])),
      { wanted: [{ shape }], count: 3, allowed: (other) => other.shape !== shape },
    ),
    words: {
      instructions: [`mask the ${shape} in ${ink}`, `show where the ${shape} is`],
      differences: [`the output image is ${withArticle(ink)} mask of the ${shape} on ${paper}`],
    },
  };
}

/** A box around the one object of a colour. */
function drawDetection(random: Random): ReversibleChange {
  const [target, line] = random.pair(colorNames);
  return {
    parameters: { target, line },
    images: from(
      (shot) => {
        const { width } = shot.image;
        let [left, top, right, bottom] = [1, 1, 0, 0];
        shot.segmentation.forEach((id, i) => {
          if (id !== 1) return;
          const [x, y] = [((i % width) + 0.5) / width, (Math.floor(i / width) + 0.5) / width];
          [left, right] = [Math.min(left, x), Math.max(right, x)];
          [top, bottom] = [Math.min(top, y), Math.max(bottom, y)];
        });
        return overlay(shot.image, colors[line], (x, y) => {
          const outside = Math.max(left - x, x - right, top - y, y - bottom);
          return outside > 0.008 && outside < 0.042 ? 1 : 0;
        });
      },
      { wanted: [{ color: target }], allowed: ({ color }) => color !== target, count: 2 },
    ),
    words: {
      instructions: [
        `draw ${withArticle(line)} box around the ${target} object`,
        `find the ${target} object`,
      ],
      differences: [`the output image has ${withArticle(line)} box around the ${target} object`],
    },
    reverseWords: {
      instructions: [`remove the ${line} box`, "take the box away"],
      differences: [`the ${line} box of the input image is gone`],
    },
  };
}

/** The objects stay, the rest becomes one colour. Reversed, the model invents a background. */
function drawCutOut(random: Random): ReversibleChange {
  const paper = random.pick(colorNames);
  const [r, g, b] = colors[paper];
  return {
    parameters: { paper },
    images: from((shot) => {
      const plain = mapPixels(shot.image, (_r, _g, _b, out, at) => out.set([r, g, b], at));
      for (let i = 0; i < shot.segmentation.length; i++)
        if (shot.segmentation[i]! > 0) plain.data.set(shot.image.data.subarray(i * 3, i * 3 + 3), i * 3);
      return plain;
    }),
    words: {
      instructions: ["cut out the objects", `make the background plain ${paper}`],
      differences: [`the background of the output image is plain ${paper}`],
    },
    reverseWords: {
      instructions: ["add a background", `replace the plain ${paper} background with a scene`],
      differences: [`the output image has a scene instead of a plain ${paper} background`],
    },
  };
}

export const perceptionFamilies: readonly TaskFamily[] = [
  ...bothWays(["depth", "perception"], ["depthToImage", "controlled"], drawDepth("open")),
  family("depthUnseenPalette", "perception", drawDepth("reserved")),
  ...bothWays(["normals", "perception"], ["normalsToImage", "controlled"], drawNormals),
  ...bothWays(["segmentation", "perception"], ["segmentationToImage", "controlled"], drawSegmentation),
  ...bothWays(["instances", "perception"], ["instancesToImage", "controlled"], drawInstances),
  ...bothWays(["edges", "perception"], ["edgesToImage", "controlled"], drawEdges),
  family("mask", "perception", drawMask),
  ...bothWays(["detect", "perception"], ["removeBox", "perception"], drawDetection),
  ...bothWays(["cutOut", "perception"], ["background", "controlled"], drawCutOut),
];
