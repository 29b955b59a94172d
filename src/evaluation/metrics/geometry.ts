/** @file Metrics of depth, as used on NYUv2. */
import { clamp } from "../../numbers.ts";

/** Evaluated depths in metres; others count as unknown (https://arxiv.org/abs/1406.2283 and later work). */
const depthRange = { nearest: 1e-3, farthest: 10 } as const;

/** Eigen's crop: the evaluated rows and columns of a 480 × 640 frame, without the sensor's blank borders. */
export const eigenCrop = { top: 45, bottom: 471, left: 41, right: 601, width: 640, height: 480 } as const;

/** Returns a test for evaluated pixels of a frame's central square, scaled to `width` × `height`. It crops only rows. */
export function inEigenRows(width: number, height: number): (pixel: number) => boolean {
  const down = height / eigenCrop.height;
  const [top, bottom] = [Math.round(eigenCrop.top * down), Math.round(eigenCrop.bottom * down)];
  return (pixel) => {
    const y = Math.floor(pixel / width);
    return y >= top && y < bottom;
  };
}

/**
 * Root mean square error of depth in metres, over evaluated pixels with known depth.
 * @param predicted metres; clamped to `depthRange`
 * @param judged whether a pixel is evaluated. Defaults to all
 * @returns NaN when no pixel is evaluated
 */
export function depthRmse(
  predicted: ArrayLike<number>,
  truth: ArrayLike<number>,
  judged: (pixel: number) => boolean = () => true,
): number {
  const { nearest, farthest } = depthRange;
  let sum = 0;
  let count = 0;
  for (let i = 0; i < truth.length; i++) {
    if (!(truth[i]! > nearest && truth[i]! < farthest) || !judged(i)) continue;
    sum += (clamp(predicted[i]!, nearest, farthest) - truth[i]!) ** 2;
    count++;
  }
  return Math.sqrt(sum / count);
}
