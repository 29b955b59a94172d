/**
 * @file Finds the plain background of the world's studio in a picture. The colour of the empty studio depends only on
 * the row, on the hue of its paint, and slightly on camera and light. The background that most pixels agree with wins.
 */
import type { Image } from "../../image/index.ts";
import { clamp } from "../../numbers.ts";
import type { Scene } from "../../tasks/index.ts";
import { Tracer } from "../../tasks/world/tracer.ts";

/** A studio with the mean settings of scenes (src/tasks/world/draw.ts). */
export const studio: Scene = {
  camera: { height: 2.15, pitch: 0.205, focal: 1.3 },
  light: { azimuth: 0, elevation: 0.87 },
  place: "studio",
  season: "summer",
  time: "day",
  surroundings: { phase: 0, hue: 0, floor: "plain" },
  objects: [],
};

const HUES = 60;
/** A pixel agrees with a background when no channel differs by more than this. */
const AGREES = 0.07;
/** Minimum share of agreeing pixels. */
const LEAST_SHARE = 0.15;
/** Brightness of the ground (sRGB) from full light to the core of a shadow. */
const shades = [1, 0.93, 0.86, 0.79, 0.72, 0.65, 0.58, 0.51, 0.44, 0.37, 0.31];

/** Factor on the error of shadows, because dark objects look like shadows. */
const SHADOW_DOUBT = 1.5;

/** One colour per row, `[height, 3]`. */
type Rows = Float32Array;

const banks = new Map<number, readonly Rows[]>();

/** Backgrounds of all hues for pictures of a height. Cached. */
function backgrounds(height: number): readonly Rows[] {
  const known = banks.get(height);
  if (known) return known;
  const made: Rows[] = [];
  for (let i = 0; i < HUES; i++)
    for (const elevation of [0.74, 0.87, 1.02])
      made.push(
        rowsOf(
          {
            ...studio,
            light: { azimuth: 0, elevation },
            surroundings: { ...studio.surroundings, hue: i / HUES },
          },
          height,
        ),
      );
  banks.set(height, made);
  return made;
}

function rowsOf(scene: Scene, height: number): Rows {
  const tracer = new Tracer(scene);
  const rows = new Float32Array(height * 3);
  for (let y = 0; y < height; y++) {
    tracer.sample(0, 0.5 - (y + 0.5) / height);
    for (let c = 0; c < 3; c++) rows[y * 3 + c] = Math.sqrt(clamp(tracer.color[c]!));
  }
  return rows;
}

/**
 * Error of the plain background and its shadows at each pixel: mean absolute difference over the channels. Undefined if
 * the picture shows no such background.
 */
export function backgroundError(image: Image): Float32Array | undefined {
  const rows = fitBackground(image);
  if (!rows) return undefined;
  const { width, data } = image;
  return Float32Array.from({ length: data.length / 3 }, (_, i) => {
    const row = Math.floor(i / width) * 3;
    let least = Infinity;
    for (const shade of shades) {
      let error = 0;
      for (let c = 0; c < 3; c++) error += Math.abs(data[i * 3 + c]! - shade * rows[row + c]!);
      least = Math.min(least, (shade < 1 ? SHADOW_DOUBT : 1) * (error / 3));
    }
    return least;
  });
}

function fitBackground({ width, height, data }: Image): Rows | undefined {
  let best: Rows | undefined;
  let most = LEAST_SHARE * width * height;
  for (const rows of backgrounds(height)) {
    let agreeing = 0;
    for (let i = 0; i < width * height; i++) {
      const row = Math.floor(i / width) * 3;
      let worst = 0;
      for (let c = 0; c < 3; c++) worst = Math.max(worst, Math.abs(data[i * 3 + c]! - rows[row + c]!));
      // Smaller differences count more, so that the best of several good fits wins.
      if (worst < AGREES) agreeing += 1 - worst / AGREES / 2;
    }
    if (agreeing <= most) continue;
    most = agreeing;
    best = rows;
  }
  return best;
}
