/**
 * @file The loss of JPEG compression: 8 × 8 cosine transform of luma and chroma, rounded to multiples of a table
 * (ITU T.81, annex K), and back. Nothing is encoded.
 */
import { clamp } from "../numbers.ts";
import { luma } from "./filters.ts";
import { createImage, type Image } from "./image.ts";

const lumaTable = [
  16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22,
  29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103,
  121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
];
const chromaTable = [
  17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99,
  99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
  99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
];

const side = 8;
const area = side * side;

/** basis[k * 8 + n] = c(k) cos((2n + 1) k π / 16): an orthonormal matrix. */
const basis = Float64Array.from({ length: area }, (_, i) => {
  const [k, n] = [Math.floor(i / side), i % side];
  return Math.cos(((2 * n + 1) * k * Math.PI) / 16) * (k === 0 ? Math.sqrt(1 / 8) : 0.5);
});

/** out = B · block · Bᵀ forwards, Bᵀ · block · B backwards. */
function transform(block: Float64Array, out: Float64Array, isForward: boolean): void {
  const rows = new Float64Array(area);
  const at = (k: number, n: number) => (isForward ? basis[k * side + n]! : basis[n * side + k]!);
  for (let y = 0; y < side; y++)
    for (let k = 0; k < side; k++)
      for (let n = 0; n < side; n++) rows[y * side + k]! += block[y * side + n]! * at(k, n);
  out.fill(0);
  for (let k = 0; k < side; k++)
    for (let x = 0; x < side; x++)
      for (let n = 0; n < side; n++) out[k * side + x]! += rows[n * side + x]! * at(k, n);
}

/** The scale of the tables for a quality of 1 to 100, as in libjpeg. */
const tableScale = (quality: number): number => (quality < 50 ? 50 / quality : 2 - quality / 50);

/** The picture after JPEG compression with the given quality (1 to 100), without chroma subsampling. */
export function compressBlocks(image: Image, quality: number): Image {
  const { width, height, data } = image;
  const out = createImage(width, height);
  const [lumas, blues, reds] = [new Float64Array(area), new Float64Array(area), new Float64Array(area)];
  const spectrum = new Float64Array(area);
  const scale = tableScale(quality);
  for (let top = 0; top < height; top += side)
    for (let left = 0; left < width; left += side) {
      for (let i = 0; i < area; i++) {
        const x = Math.min(left + (i % side), width - 1);
        const y = Math.min(top + Math.floor(i / side), height - 1);
        const at = (y * width + x) * 3;
        const [r, g, b] = [data[at]! * 255, data[at + 1]! * 255, data[at + 2]! * 255];
        const light = luma(r, g, b);
        lumas[i] = light - 128;
        blues[i] = (b - light) / 1.772;
        reds[i] = (r - light) / 1.402;
      }
      for (const plane of [lumas, blues, reds]) {
        const table = plane === lumas ? lumaTable : chromaTable;
        transform(plane, spectrum, true);
        for (let i = 0; i < area; i++) {
          const step = clamp(Math.floor(table[i]! * scale + 0.5), 1, 255);
          spectrum[i] = Math.round(spectrum[i]! / step) * step;
        }
        transform(spectrum, plane, false);
      }
      for (let i = 0; i < area; i++) {
        const [x, y] = [left + (i % side), top + Math.floor(i / side)];
        if (x >= width || y >= height) continue;
        const light = lumas[i]! + 128;
        const [b, r] = [light + 1.772 * blues[i]!, light + 1.402 * reds[i]!];
        const g = (light - 0.299 * r - 0.114 * b) / 0.587;
        [r, g, b].forEach((value, c) => {
          out.data[(y * width + x) * 3 + c] = clamp(value / 255);
        });
      }
    }
  return out;
}
