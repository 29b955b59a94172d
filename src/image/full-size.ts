/**
 * @file Transfers the change of a small drawing (the model's output) to the original picture at full size. Detail comes
 * from the original, the change from the drawing.
 *
 * The drawing is compared with the picture as the model sees it; both have passed through the image tokenizer. Four
 * quantities are estimated at the size of the drawing, and then applied to the picture row by row:
 * 1. whether the drawing is mirrored horizontally, vertically, or both;
 * 2. the colour map from one to the other, global or by place and luma (`colour-map.ts`);
 * 3. the share of fine detail to keep, below 1 if the change is a blur;
 * 4. the confidence in the map for each pixel. Where the map does not explain the drawing (a part was added, removed or
 *    moved), the result is the enlarged drawing.
 */
import { clamp, dot } from "../numbers.ts";
import { type BilateralGrid, mapColours, slicesOf } from "./bilateral-grid.ts";
import { affineError, errorOf, fitColourMap, mean, noiseOf, robustWeights } from "./colour-map.ts";
import type { ColourChange } from "./example-colours.ts";
import { blurMap, gaussianBlur } from "./filters.ts";
import { type Flip, flipped, flips } from "./flip.ts";
import type { ByteImage, Image } from "./image.ts";
import { RowSampler } from "./row-sampler.ts";

/** The three small pictures, of one size. */
export interface Drawn {
  /** The picture to change, scaled. */
  readonly query: Image;
  /** The query after the image tokenizer, as the model sees it. */
  readonly seen: Image;
  /** The model's output. */
  readonly drawn: Image;
}

/** What a change follows from: a known change of colours, or a drawing. */
export type ChangeSource = { readonly colours: ColourChange } | Omit<Drawn, "query">;

/** The change to apply. */
export interface Change {
  readonly flip: Flip;
  readonly grid: BilateralGrid;
  /** Share of the detail finer than the drawing's pixels that is kept, from 0 to 1. */
  readonly detail: number;
  /** Confidence in the colour map for each pixel of the drawing, from 0 to 1, `[height, width]`. */
  readonly confidence: Float32Array;
  /** The query, flipped like the drawing. */
  readonly query: Image;
  readonly drawn: Image;
}

/** A flip must reduce the error of the unflipped picture to at most this share. */
const FLIP_ERROR = 0.5;
/**
 * Detail beyond the drawing's size fades in while the gain of the drawing's own finest detail is between these bounds.
 */
const NO_DETAIL = 0.4;
const ALL_DETAIL = 0.7;
/** The tokenizer must keep at least this share of its finest detail, or that gain is unknown. */
const LEAST_TRANSFER = 0.2;
/** Squared error of the map that counts as noise, in units of the observed noise. */
const NOISE = 2;
/** Standard deviation, in pixels of the drawing, for smoothing the errors of the map and of the tokenizer. */
const ERROR_REACH = 1.2;
const TOKENIZER_REACH = 2;
/** Standard deviation, in pixels of the drawing, of the blend between map and drawing. */
const RIM_BLUR = 0.7;
/** Sample points of the picture along each edge of a pixel of the drawing. */
const POINTS = 4;

/** The change of a picture, given at its own size and scaled. */
export function changeOf(
  source: ChangeSource,
  { original, query }: { readonly original: ByteImage; readonly query: Image },
): Change {
  if (!("colours" in source)) return fitChange({ query, ...source }, original);
  // Of no pixel a drawing is needed.
  const confidence = new Float32Array(query.width * query.height).fill(1);
  return { ...source.colours, detail: 1, confidence, query, drawn: query };
}

/** Estimates the change. `original` is the picture to change at its own size. */
export function fitChange(pictures: Drawn, original: ByteImage): Change {
  const { drawn } = pictures;
  const flip = flipOf(pictures.seen, drawn);
  const [query, seen] = [flipped(pictures.query, flip), flipped(pictures.seen, flip)];
  const { grid, mapped } = fitColourMap(seen, drawn, mean(squaredError(seen, query)));
  const detail = detailOf({ query, seen, drawn }, grid, mapped);
  const confidence = confidenceOf({ query, seen, drawn }, mapped, detailEnergy(original, query, flip));
  return { flip, grid, detail, confidence, query, drawn };
}

function flipOf(seen: Image, drawn: Image): Flip {
  let best = flips[0]!;
  let error = FLIP_ERROR * affineError(seen, drawn);
  for (const flip of flips.slice(1)) {
    const tried = affineError(flipped(seen, flip), drawn);
    if (tried >= error) continue;
    [best, error] = [flip, tried];
  }
  return best;
}

/**
 * The gain of the finest octave of the drawing relative to the mapped picture, below 1 if the change is a blur. Both
 * are projected on the mapped query, so that the tokenizer's independent noise cancels. Added or removed parts hardly
 * count.
 * @param mapped the result of the colour map on `seen`
 */
function detailOf({ query, seen, drawn }: Drawn, grid: BilateralGrid, mapped: Float32Array): number {
  const exact = octave(query, mapColours(slicesOf(query, grid), query.data, grid.coefficients));
  const error = squaredError({ ...query, data: mapped }, drawn);
  const weights = robustWeights(error, query);
  const weighted = exact.map((value, i) => value * weights[Math.floor(i / 3)]!);
  const expected = dot(octave(query, mapped), weighted);
  const fine = octave(query, query.data);
  const transfer = dot(octave(query, seen.data), fine) / (dot(fine, fine) + 1e-9);
  if (transfer < LEAST_TRANSFER || expected <= 0) return 1;
  const gain = dot(octave(query, drawn.data), weighted) / expected;
  const t = clamp((gain - NO_DETAIL) / (ALL_DETAIL - NO_DETAIL));
  return t * t * (3 - 2 * t);
}

/** The approximate loss from halving a picture of `size`. */
function octave(size: Image, data: Float32Array): Float32Array {
  const blurred = gaussianBlur({ ...size, data }, 1);
  return data.map((value, i) => value - blurred.data[i]!);
}

const squaredError = (a: Image, b: Image): Float32Array =>
  errorOf(a.data.map((value, i) => value - b.data[i]!));

/**
 * The confidence in the colour map per pixel, (1 + (bias of the map / bias of the drawing)²)⁻¹. The squared bias of the
 * map is its error beyond the noise of the tokenizer; that of the drawing is the noise and the detail that it lacks.
 * @param lacking mean square of the picture's detail beyond the drawing's size, `[pixels]`
 */
function confidenceOf(
  { query, seen, drawn }: Drawn,
  mapped: Float32Array,
  lacking: Float32Array,
): Float32Array {
  const tokenizer = blurMap(squaredError(seen, query), query, TOKENIZER_REACH);
  const error = blurMap(squaredError({ ...query, data: mapped }, drawn), query, ERROR_REACH);
  const floor = noiseOf(error);
  const confidence = error.map((value, p) => {
    const noise = NOISE * (floor + tokenizer[p]! / 2);
    const bias = Math.max(0, value - noise);
    return 1 / (1 + (bias / (noise + lacking[p]!)) ** 2);
  });
  // The rim of a removed part covers its pixels only partly.
  return blurMap(leastAround(confidence, query), query, RIM_BLUR);
}

/** The minimum of each pixel and its eight neighbours. */
function leastAround(map: Float32Array, { width, height }: Image): Float32Array {
  return map.map((_, p) => {
    const [x, y] = [p % width, Math.floor(p / width)];
    let least = 1;
    for (let v = Math.max(0, y - 1); v <= Math.min(height - 1, y + 1); v++)
      for (let u = Math.max(0, x - 1); u <= Math.min(width - 1, x + 1); u++)
        least = Math.min(least, map[v * width + u]!);
    return least;
  });
}

/** Mean square of the detail that the enlarged query lacks, around each pixel of the query. */
function detailEnergy(original: ByteImage, query: Image, { across, down }: Flip): Float32Array {
  const { width, height } = query;
  const sum = new Float32Array(width * height);
  const counts = new Float32Array(width * height);
  const [stepX, stepY] = [
    Math.max(1, Math.floor(original.width / width / POINTS)),
    Math.max(1, Math.floor(original.height / height / POINTS)),
  ];
  const sampler = new RowSampler(query, original.width, original.height);
  for (let y = 0; y < original.height; y += stepY) {
    const coarse = sampler.row(y);
    const row = down ? original.height - 1 - y : y;
    for (let x = 0; x < original.width; x += stepX) {
      const from = (row * original.width + (across ? original.width - 1 - x : x)) * 3;
      const pixel =
        Math.floor(((y + 0.5) / original.height) * height) * width +
        Math.floor(((x + 0.5) / original.width) * width);
      for (let c = 0; c < 3; c++)
        sum[pixel]! += (original.data[from + c]! / 255 - coarse[x * 3 + c]!) ** 2 / 3;
      counts[pixel]!++;
    }
  }
  const energy = sum.map((value, p) => (counts[p] === 0 ? 0 : value / counts[p]!));
  return blurMap(energy, query, TOKENIZER_REACH);
}
