/**
 * @file Finds the objects in a picture of the world's studio: shape, colour, place. The background is explained first;
 * then, one after another, the object that explains most of what is left, out of all shapes, turns, sizes, colours and
 * places. No network is asked: the judge knows the world by its renderer.
 */
import type { Image } from "../../image/index.ts";
import { type Color, colorNames, colors, type Shape, shapes } from "../../tasks/world/scene.ts";
import { type Look, lookOf, makeLook } from "./looks.ts";
import { unlikeBackground } from "./studio.ts";
import { lights, type Template, templatesFor } from "./templates.ts";

export interface Detection {
  readonly shape: Shape;
  readonly color: Color;
  /** Column of its middle and row of its lowest pixel, as shares of the picture's side: lower is nearer. */
  readonly x: number;
  readonly bottom: number;
}

/** Differences above this are all alike: no pixel alone decides. */
const MOST = 0.25;
/** What a second colour costs: most objects have one. */
const SECOND_DOUBT = 0.06;
/** What is explained worse than before counts so many times: an outline that is too large is no better than one too small. */
const LOSS = 2;
/** A pixel is part of something when the background explains it worse than this. */
const FOREGROUND = 0.085;
/** Objects that explain less than this many whole pixels, of a picture 64 wide, are none. */
const LEAST_GAIN = 5;
const MOST_OBJECTS = 6;
/** An outline that explains this share of a region is taken to be all of it. */
const ENOUGH = 0.75;
/** Placements of each shape that are looked at closely. */
const CLOSE_LOOKS = 4;
/** Colours that are tried for a region. */
const COLORS_TRIED = 4;

interface Placement {
  readonly look: Look;
  readonly x: number;
  readonly y: number;
  readonly gain: number;
}

interface Box {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
  readonly pixels: readonly number[];
}

/** The objects of the picture, those that explain most first; none where there is no plain background. */
export function detectObjects(image: Image): Detection[] {
  const { width } = image;
  const left = unlikeBackground(image)?.map((error) => Math.min(error, MOST));
  if (!left) return [];
  const claimed = new Uint8Array(left.length);
  const found: Detection[] = [];
  const leastGain = LEAST_GAIN * (width / 64) ** 2;
  const dropped = new Uint8Array(left.length);
  while (found.length < MOST_OBJECTS) {
    const region = largestRegion(left, dropped, width);
    if (!region || region.pixels.length * MOST < leastGain) break;
    const best = bestPlacement(image, left, claimed, region);
    if (!best || best.gain < leastGain) {
      for (const pixel of region.pixels) dropped[pixel] = 1;
      continue;
    }
    claim(best, image, left, claimed);
    found.push({
      shape: best.look.template.shape,
      color: best.look.color,
      x: (best.x + 0.5) / width,
      bottom: (best.y + 0.5) / width,
    });
  }
  return found;
}

/** The largest connected region that nothing explains yet. */
function largestRegion(left: Float32Array, dropped: Uint8Array, width: number): Box | undefined {
  const height = left.length / width;
  const seen = new Uint8Array(left.length);
  let best: number[] = [];
  for (let start = 0; start < left.length; start++) {
    if (seen[start] || dropped[start] || left[start]! < FOREGROUND) continue;
    const pixels = [start];
    seen[start] = 1;
    for (let i = 0; i < pixels.length; i++) {
      const pixel = pixels[i]!;
      const [x, y] = [pixel % width, Math.floor(pixel / width)];
      const visit = (next: number, inside: boolean) => {
        if (!inside || seen[next] || dropped[next] || left[next]! < FOREGROUND) return;
        seen[next] = 1;
        pixels.push(next);
      };
      visit(pixel - 1, x > 0);
      visit(pixel + 1, x < width - 1);
      visit(pixel - width, y > 0);
      visit(pixel + width, y < height - 1);
    }
    if (pixels.length > best.length) best = pixels;
  }
  if (best.length === 0) return undefined;
  const xs = best.map((pixel) => pixel % width);
  const ys = best.map((pixel) => Math.floor(pixel / width));
  return {
    left: Math.min(...xs),
    right: Math.max(...xs),
    top: Math.min(...ys),
    bottom: Math.max(...ys),
    pixels: best,
  };
}

/**
 * The placement that explains most of a region: one that has its outline, where that explains enough; otherwise any
 * within it, for it may show several objects. A coarse look at all, a close one at the best of each shape.
 */
function bestPlacement(
  image: Image,
  left: Float32Array,
  claimed: Uint8Array,
  region: Box,
): Placement | undefined {
  const whole = region.pixels.reduce((sum, pixel) => sum + left[pixel]!, 0);
  const fitting = bestOf(image, left, claimed, region, (template) =>
    hasOutline(template, region, image.width),
  );
  if (fitting && fitting.gain > ENOUGH * whole) return fitting;
  return bestOf(image, left, claimed, region, ({ dx }) => {
    const share = dx.length / region.pixels.length;
    return share > 0.15 && share < 2.2;
  });
}

/** Steps of a coarse look over so many pixels. */
const stepOf = (range: number): number => (range > 30 ? 3 : 2);

const slackOf = (width: number): number => Math.max(2, Math.round(width / 16));

function hasOutline({ left, right, top }: Template, region: Box, width: number): boolean {
  const slack = slackOf(width);
  return (
    Math.abs(right - left - (region.right - region.left)) <= slack &&
    Math.abs(-top - (region.bottom - region.top)) <= slack
  );
}

function bestOf(
  image: Image,
  left: Float32Array,
  claimed: Uint8Array,
  region: Box,
  suits: (template: Template) => boolean,
): Placement | undefined {
  const tried = likelyColors(image, region);
  const slack = slackOf(image.width);
  const coarse: Placement[] = [];
  for (const template of templatesFor(image.width)) {
    if (!suits(template)) continue;
    let best: Placement | undefined;
    const [top, bottom] = [region.top - slack - template.top, region.bottom + slack];
    const [first, last] = [region.left - slack - template.left, region.right + slack - template.right];
    const [down, across] = [stepOf(bottom - top), stepOf(last - first)];
    for (const look of tried.map((color) => lookOf(template, color)))
      for (let y = top; y <= bottom; y += down)
        for (let x = first; x <= last; x += across) {
          const gain = gainOf(image, left, claimed, look, x, y, 3);
          if (!best || gain > best.gain) best = { look, x, y, gain };
        }
    if (best) coarse.push(best);
  }
  const close = shapes.flatMap((shape) =>
    coarse
      .filter(({ look }) => look.template.shape === shape)
      .sort((a, b) => b.gain - a.gain)
      .slice(0, CLOSE_LOOKS),
  );
  let best: Placement | undefined;
  for (const { look, x, y } of close)
    for (let light = 0; light < lights.length; light++) {
      const lit = makeLook(look.template, look.color, light);
      for (let dy = -1; dy <= 1; dy++)
        for (let dx = -1; dx <= 1; dx++) {
          const gain = gainOf(image, left, claimed, lit, x + dx, y + dy, 1);
          if (!best || gain > best.gain) best = { look: lit, x: x + dx, y: y + dy, gain };
        }
    }
  return best;
}

/** How much less of the picture is unexplained with the object there; every `stride`-th pixel stands for its neighbours. */
function gainOf(
  image: Image,
  left: Float32Array,
  claimed: Uint8Array,
  look: Look,
  x: number,
  y: number,
  stride: number,
): number {
  const { width, height } = image;
  const { dx, dy } = look.template;
  let gain = 0;
  for (let i = 0; i < dx.length; i += stride) {
    const [px, py] = [x + dx[i]!, y + dy[i]!];
    if (px < 0 || px >= width || py < 0 || py >= height) continue;
    const pixel = py * width + px;
    if (claimed[pixel]) continue;
    const less = left[pixel]! - errorAt(image, pixel, look, i, left[pixel]!);
    gain += less < 0 ? LOSS * less : less;
  }
  return gain * stride;
}

/**
 * How far a pixel is from what the object would show there: in its colour, or in its material's second one where the
 * background is no explanation (grey second colours, of black and of white, would explain it away).
 */
function errorAt({ data }: Image, pixel: number, { first, second }: Look, i: number, left: number): number {
  const error = Math.min(distance(data, pixel, first, i), MOST);
  return left < FOREGROUND ? error : Math.min(error, distance(data, pixel, second, i) + SECOND_DOUBT);
}

const distance = (data: Float32Array, pixel: number, look: Float32Array, i: number): number =>
  (Math.abs(data[pixel * 3]! - look[i * 3]!) +
    Math.abs(data[pixel * 3 + 1]! - look[i * 3 + 1]!) +
    Math.abs(data[pixel * 3 + 2]! - look[i * 3 + 2]!)) /
  3;

/** Colours that a region's pixels are nearest to, in the light that suits each. */
function likelyColors({ data }: Image, { pixels }: Box): Color[] {
  const votes = new Map<Color, number>();
  for (const pixel of pixels) {
    let best: Color = "red";
    let least = Infinity;
    for (const name of colorNames)
      for (const shade of [0.55, 0.7, 0.85, 1]) {
        let error = 0;
        for (let c = 0; c < 3; c++) error += Math.abs(data[pixel * 3 + c]! - colors[name][c]! * shade);
        if (error >= least) continue;
        least = error;
        best = name;
      }
    votes.set(best, (votes.get(best) ?? 0) + 1);
  }
  const ranked = [...votes].sort((a, b) => b[1] - a[1]).map(([name]) => name);
  return ranked.slice(0, COLORS_TRIED);
}

/** What the object explains is explained, and its pixels are its own. */
function claim({ look, x, y }: Placement, image: Image, left: Float32Array, claimed: Uint8Array): void {
  const { width, height } = image;
  look.template.dx.forEach((dx, i) => {
    const [px, py] = [x + dx, y + look.template.dy[i]!];
    if (px < 0 || px >= width || py < 0 || py >= height) return;
    const pixel = py * width + px;
    if (claimed[pixel]) return;
    const error = errorAt(image, pixel, look, i, left[pixel]!);
    // What it hides may well be another object: only what looks like it is its own.
    if (error >= left[pixel]! && left[pixel]! > FOREGROUND) return;
    left[pixel] = Math.min(error, FOREGROUND / 2);
    claimed[pixel] = 1;
  });
}
