/** @file Cutting and resampling pictures, as pure functions. */
import { createImage, type Image } from "./image.ts";

/**
 * How a picture is resampled. Pixels are squares; a pixel's centre is at its index + ½.
 * - `nearest`: the pixel under the centre of the new one;
 * - `bilinear`: between the four pixels around that centre, without smoothing first (as in PyTorch's `interpolate`);
 * - `area`: the mean of what the new pixel covers; the one for making pictures smaller.
 */
export type Filter = "nearest" | "bilinear" | "area";

/** The picture at another size; the aspect ratio is the caller's affair. */
export function resize(image: Image, width: number, height: number, filter: Filter): Image {
  const across = resample(image.data, image.height, image.width, 3, taps(image.width, width, filter));
  const data = resample(across, 1, image.height, width * 3, taps(image.height, height, filter));
  return { width, height, data };
}

/**
 * A part of the picture, in pixels.
 * @throws RangeError when the part is not inside it.
 */
export function crop(image: Image, left: number, top: number, width: number, height: number): Image {
  if (left < 0 || top < 0 || left + width > image.width || top + height > image.height) {
    throw new RangeError(
      `crop: expected a part of ${image.width} × ${image.height}, got ${width} × ${height} at (${left}, ${top})`,
    );
  }
  const part = createImage(width, height);
  for (let y = 0; y < height; y++) {
    const start = ((top + y) * image.width + left) * 3;
    part.data.set(image.data.subarray(start, start + width * 3), y * width * 3);
  }
  return part;
}

/** For each new position, the first old one that it draws on, and the weights of that one and those after it. */
type Taps = readonly { readonly first: number; readonly weights: readonly number[] }[];

function taps(from: number, to: number, filter: Filter): Taps {
  const step = from / to;
  return Array.from({ length: to }, (_, i) => {
    const centre = (i + 0.5) * step;
    if (filter === "nearest") return { first: Math.floor(centre), weights: [1] };
    if (filter === "bilinear") {
      const at = Math.min(Math.max(centre - 0.5, 0), from - 1);
      const first = Math.floor(at);
      return { first, weights: at === first ? [1] : [1 - (at - first), at - first] };
    }
    const [start, end] = [i * step, (i + 1) * step];
    const first = Math.floor(start);
    const count = Math.min(Math.ceil(end), from) - first;
    const weights = Array.from(
      { length: count },
      (_, k) => (Math.min(end, first + k + 1) - Math.max(start, first + k)) / step,
    );
    return { first, weights };
  });
}

/** data [outer, from, inner] → [outer, number of taps, inner]. */
function resample(data: Float32Array, outer: number, from: number, inner: number, taps: Taps): Float32Array {
  const result = new Float32Array(outer * taps.length * inner);
  for (let o = 0; o < outer; o++) {
    taps.forEach(({ first, weights }, t) => {
      const target = (o * taps.length + t) * inner;
      weights.forEach((weight, k) => {
        const source = (o * from + first + k) * inner;
        for (let i = 0; i < inner; i++) result[target + i]! += weight * data[source + i]!;
      });
    });
  }
  return result;
}
