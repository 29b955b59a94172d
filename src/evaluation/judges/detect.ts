/**
 * @file Detects objects in a picture of the world's studio, with shape, colour and position. First fits the background;
 * then repeatedly adds the object that explains most of the remaining error, over all shapes, rotations, sizes, colours
 * and positions. Uses the world's renderer and no neural network.
 */
import type { Image } from "../../image/index.ts";
import { type Color, colorNames, colors, type Shape, shapes } from "../../tasks/world/scene.ts";
import { type Look, lookOf, makeLook } from "./looks.ts";
import { backgroundError } from "./studio.ts";
import { lights, type Template, templatesFor } from "./templates.ts";

export interface Detection {
  readonly shape: Shape;
  readonly color: Color;
  /** Column of the centre and row of the lowest pixel, as shares of the picture's side. Lower objects are nearer. */
  readonly x: number;
  readonly bottom: number;
}

/** Errors are clipped to this value, so that no single pixel decides. */
const MOST = 0.25;
/** Penalty of a second colour: most objects have one colour. */
const SECOND_DOUBT = 0.06;
/** Weight of pixels that the object explains worse than before, so that too large an outline is as bad as too small a one. */
const LOSS = 2;
/** A pixel is foreground when its background error is larger than this. */
const FOREGROUND = 0.085;
/** Minimum gain of an object, in pixels of a picture 64 pixels wide. */
const LEAST_GAIN = 5;
const MOST_OBJECTS = 6;
/** An outline that explains this share of a region explains the whole region. */
const ENOUGH = 0.75;
/** Placements per shape that are refined. */
const REFINED = 4;
/** Colours per region that are tried. */
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

/** Detects the objects of a picture, largest gain first. Returns none if there is no plain background. */
export function detectObjects(image: Image): Detection[] {
  const { width } = image;
  const left = backgroundError(image)?.map((error) => Math.min(error, MOST));
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

/** The largest connected region of unexplained foreground. */
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
  // Not `Math.min(...)`, which takes some hundred thousand arguments only.
  const box = { left: width, right: 0, top: Number.POSITIVE_INFINITY, bottom: 0 };
  for (const pixel of best) {
    const [x, y] = [pixel % width, Math.floor(pixel / width)];
    box.left = Math.min(box.left, x);
    box.right = Math.max(box.right, x);
    box.top = Math.min(box.top, y);
    box.bottom = Math.max(box.bottom, y);
  }
  return { ...box, pixels: best };
}

/**
 * The placement that explains most of a region: one with the region's outline if that explains enough; otherwise any
 * placement within the region, which may show several objects. Searches coarsely, then refines the best of each shape.
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

/** Step size of the coarse search over a range in pixels. */
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
      .slice(0, REFINED),
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

/** Reduction of the error by an object. Samples every `stride`-th pixel. */
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
 * Distance of a pixel from the object's appearance there: in its colour, or in the second colour of its material if the
 * pixel is foreground. (The grey second colours of black and white could otherwise explain the background.)
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

/** The most frequent colours of a region, by the nearest colour of each pixel under several shades. */
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

/** Assigns pixels to the object and lowers their error. */
function claim({ look, x, y }: Placement, image: Image, left: Float32Array, claimed: Uint8Array): void {
  const { width, height } = image;
  look.template.dx.forEach((dx, i) => {
    const [px, py] = [x + dx, y + look.template.dy[i]!];
    if (px < 0 || px >= width || py < 0 || py >= height) return;
    const pixel = py * width + px;
    if (claimed[pixel]) return;
    const error = errorAt(image, pixel, look, i, left[pixel]!);
    // Pixels that do not look like the object may belong to another one in front of it.
    if (error >= left[pixel]! && left[pixel]! > FOREGROUND) return;
    left[pixel] = Math.min(error, FOREGROUND / 2);
    claimed[pixel] = 1;
  });
}
