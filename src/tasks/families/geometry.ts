/** @file Geometry: pixels move, colours stay. */
import { rearrange, resample } from "../../image/filters.ts";
import { overlay } from "../../image/paint.ts";
import type { Random } from "../../random.ts";
import { bothWays, type Change, family, ofAnyPicture, type ReversibleChange } from "../task.ts";
import { withArticle } from "../world/caption.ts";
import { colorNames, colors } from "../world/scene.ts";
import { fromPicture } from "./source.ts";

/** Pairs in which the output's pixel (x, y) is the input's at `source`, for pictures `size` pixels wide. */
const moved = (source: (x: number, y: number, size: number, at: Int32Array) => void): Change["images"] =>
  fromPicture(({ image, size }) => rearrange(image, (x, y, at) => source(x, y, size, at)));

function drawFlipHorizontal(): Change {
  return {
    parameters: {},
    images: moved((x, y, size, at) => {
      at[0] = size - 1 - x;
      at[1] = y;
    }),
    words: {
      instructions: ["flip it left to right", "mirror the picture sideways"],
      differences: ["the output image is flipped left to right"],
    },
  };
}

function drawFlipVertical(): Change {
  return {
    parameters: {},
    images: moved((x, y, size, at) => {
      at[0] = x;
      at[1] = size - 1 - y;
    }),
    words: {
      instructions: ["turn it upside down", "flip it top to bottom"],
      differences: ["the output image is flipped top to bottom"],
    },
  };
}

function drawRotate(random: Random): Change {
  const degrees = random.pick([90, 180, 270]);
  return {
    parameters: { degrees },
    images: moved((x, y, size, at) => {
      const last = size - 1;
      at[0] = degrees === 90 ? y : degrees === 180 ? last - x : last - y;
      at[1] = degrees === 90 ? last - x : degrees === 180 ? last - y : x;
    }),
    words: {
      instructions: [`rotate it by ${degrees} degrees`, `turn it ${degrees} degrees clockwise`],
      differences: [`the output image is rotated by ${degrees} degrees`],
    },
  };
}

function drawTranspose(random: Random): Change {
  const diagonal = random.pick(["main", "other"]);
  return {
    parameters: { diagonal },
    images: moved((x, y, size, at) => {
      at[0] = diagonal === "main" ? y : size - 1 - y;
      at[1] = diagonal === "main" ? x : size - 1 - x;
    }),
    words: {
      instructions: [`mirror it at the ${diagonal} diagonal`],
      differences: [`the output image is mirrored at the ${diagonal} diagonal`],
    },
  };
}

function drawShift(random: Random): Change {
  const eighths = random.integer(2, 4);
  const direction = random.pick(["left", "right", "up", "down"] as const);
  const steps = { left: [1, 0], right: [-1, 0], up: [0, 1], down: [0, -1] } as const;
  const [dx, dy] = steps[direction];
  return {
    parameters: { eighths, direction },
    images: moved((x, y, size, at) => {
      const step = (eighths * size) / 8;
      at[0] = (x + dx * step + size) % size;
      at[1] = (y + dy * step + size) % size;
    }),
    words: {
      instructions: [`shift it ${direction} and wrap around`, `roll the picture ${direction}`],
      differences: [`the output image is shifted ${direction} and wraps around`],
    },
  };
}

function drawZoom(random: Random): ReversibleChange {
  const factor = random.uniform(1.5, 2.2);
  const [x0, y0] = [random.uniform(0.3, 0.7), random.uniform(0.4, 0.7)];
  return {
    parameters: { factor, x: x0, y: y0 },
    images: fromPicture(({ image, size }) =>
      resample(image, (x, y, at) => {
        at[0] = x0 * (size - 1) + (x - x0 * (size - 1)) / factor;
        at[1] = y0 * (size - 1) + (y - y0 * (size - 1)) / factor;
      }),
    ),
    words: {
      instructions: ["zoom in", "enlarge a part of the picture"],
      differences: ["the output image shows a part of the input image larger"],
    },
    reverseWords: {
      instructions: ["zoom out", "show more around the picture"],
      differences: ["the output image shows more of the scene, smaller"],
    },
  };
}

function drawSwapHalves(random: Random): Change {
  const axis = random.pick(["left and right", "top and bottom"]);
  const isSideways = axis === "left and right";
  return {
    parameters: { axis },
    images: moved((x, y, size, at) => {
      at[0] = isSideways ? (x + size / 2) % size : x;
      at[1] = isSideways ? y : (y + size / 2) % size;
    }),
    words: {
      instructions: [`swap the ${axis} halves`],
      differences: [`the ${axis} halves of the output image are swapped`],
    },
  };
}

function drawShuffleQuarters(random: Random): Change {
  let order: number[];
  do order = random.shuffle([0, 1, 2, 3]);
  while (order.every((from, to) => from === to));
  return {
    parameters: { order: order.join("") },
    images: moved((x, y, size, at) => {
      const half = size / 2;
      const from = order[(y < half ? 0 : 2) + (x < half ? 0 : 1)]!;
      at[0] = (x % half) + (from & 1 ? half : 0);
      at[1] = (y % half) + (from & 2 ? half : 0);
    }),
    words: {
      instructions: ["rearrange the four quarters", "shuffle the quarters like in the example"],
      differences: ["the four quarters of the output image are rearranged"],
    },
  };
}

function drawMirror(random: Random): Change {
  const side = random.pick(["left", "right"]);
  return {
    parameters: { side },
    images: moved((x, y, size, at) => {
      const isKept = x < size / 2 === (side === "left");
      at[0] = isKept ? x : size - 1 - x;
      at[1] = y;
    }),
    words: {
      instructions: [`reflect the ${side} half onto the other`, `mirror the ${side} half`],
      differences: [`both halves of the output image show the ${side} half mirrored`],
    },
  };
}

function drawTile(random: Random): Change {
  const count = random.integer(2, 3);
  return {
    parameters: { count },
    images: fromPicture(({ image, size }) =>
      resample(image, (x, y, at) => {
        at[0] = (x * count + (count - 1) / 2) % size;
        at[1] = (y * count + (count - 1) / 2) % size;
      }),
    ),
    words: {
      instructions: [`repeat the picture ${count} by ${count} times`, "tile the picture"],
      differences: [`the output image repeats the input image ${count} by ${count} times`],
    },
  };
}

function drawFrame(random: Random): ReversibleChange {
  const color = random.pick(colorNames);
  const thickness = random.uniform(0.06, 0.15);
  const shape = random.pick(["square", "round"]);
  return {
    parameters: { color, thickness, shape },
    images: fromPicture(({ image }) =>
      overlay(image, colors[color], (x, y) => {
        const [u, v] = [Math.abs(x - 0.5), Math.abs(y - 0.5)];
        const reach = shape === "square" ? Math.max(u, v) : Math.hypot(u, v);
        return 0.5 + 64 * (reach + thickness - 0.5);
      }),
    ),
    words: {
      instructions: [`put a ${shape} ${color} frame around it`, `add ${withArticle(color)} border`],
      differences: [`the output image has a ${shape} ${color} frame`],
    },
    reverseWords: {
      instructions: [`remove the ${color} frame`, "take the border away"],
      differences: [`the ${shape} ${color} frame of the input image is gone`],
    },
  };
}

function drawWave(random: Random): ReversibleChange {
  const direction = random.pick(["sideways", "upright"]);
  const waves = random.uniform(1, 2.4);
  const height = random.uniform(0.04, 0.08);
  const phase = random.uniform(0, 2 * Math.PI);
  return {
    parameters: { direction, waves, height, phase },
    images: fromPicture(({ image, size }) => {
      const shift = (along: number) => height * size * Math.sin((2 * Math.PI * waves * along) / size + phase);
      return resample(image, (x, y, at) => {
        at[0] = direction === "sideways" ? x + shift(y) : x;
        at[1] = direction === "sideways" ? y : y + shift(x);
      });
    }),
    words: {
      instructions: [`bend it into ${direction} waves`, "make the picture wavy"],
      differences: [`the output image is bent into ${direction} waves`],
    },
    reverseWords: {
      instructions: ["straighten the wavy picture", "undo the waves"],
      differences: ["the waves of the input image are straightened"],
    },
  };
}

export const geometryFamilies = ofAnyPicture([
  family("flipHorizontal", "geometry", drawFlipHorizontal),
  family("flipVertical", "geometry", drawFlipVertical),
  family("rotate", "geometry", drawRotate),
  family("transpose", "geometry", drawTranspose),
  family("shift", "geometry", drawShift),
  ...bothWays(["zoomIn", "geometry"], ["zoomOut", "geometry"], drawZoom),
  family("swapHalves", "geometry", drawSwapHalves),
  family("shuffleQuarters", "geometry", drawShuffleQuarters),
  family("mirror", "geometry", drawMirror),
  family("tile", "geometry", drawTile),
  ...bothWays(["frame", "geometry"], ["removeFrame", "geometry"], drawFrame),
  ...bothWays(["wave", "geometry"], ["unwave", "geometry"], drawWave),
]);
