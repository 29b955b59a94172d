/**
 * @file The plain background of the world's studio, found in a picture of objects before it. Without objects the
 * studio's colour depends on the row alone, on the hue of its paint, and a little on camera and light: the one that most
 * pixels agree with is taken.
 */
import type { Image } from "../../image/index.ts";
import type { Scene } from "../../tasks/index.ts";
import { Tracer } from "../../tasks/world/tracer.ts";

/** The middle of what scenes are drawn with (src/tasks/world/draw.ts). */
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
/** A pixel agrees with a background when no channel is farther from it than this. */
const AGREES = 0.07;
/** The least share of pixels that have to agree. */
const LEAST_SHARE = 0.15;
/** What is left of the ground's colour (sRGB) in the core of a shadow, and in steps up to full light. */
const shades = [1, 0.93, 0.86, 0.79, 0.72, 0.65, 0.58, 0.51, 0.44, 0.37, 0.31];

/** A shadow has to fit this much better than the bare background: dark objects look like shadows. */
const SHADOW_DOUBT = 1.5;

/** One colour a row: `[height, 3]`. */
type Rows = Float32Array;

const banks = new Map<number, readonly Rows[]>();

/** Backgrounds of all hues for pictures of a height, made once. */
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
    for (let c = 0; c < 3; c++) rows[y * 3 + c] = Math.sqrt(Math.min(Math.max(tracer.color[c]!, 0), 1));
  }
  return rows;
}

/**
 * How badly the plain background, or its shadows, explain each pixel: mean absolute difference over the channels.
 * Undefined for a picture that shows no such background.
 */
export function unlikeBackground(image: Image): Float32Array | undefined {
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
      // Near misses count a little, so that the best of several good fits is taken.
      if (worst < AGREES) agreeing += 1 - worst / AGREES / 2;
    }
    if (agreeing <= most) continue;
    most = agreeing;
    best = rows;
  }
  return best;
}
