/** @file Depth and surface normals as they are measured on NYUv2. */

/** Metres that are judged: nearer and farther is taken as unknown (https://arxiv.org/abs/1406.2283 and since). */
export const depthRange = { nearest: 1e-3, farthest: 10 } as const;

/** Rows and columns of a 480 × 640 frame that are judged: Eigen's crop, without the borders the sensor leaves out. */
export const eigenCrop = { top: 45, bottom: 471, left: 41, right: 601, width: 640, height: 480 } as const;

/** Which pixels of a frame lie in Eigen's crop, scaled to `width` × `height`. */
export function inEigenCrop(width: number, height: number): (pixel: number) => boolean {
  const [across, down] = [width / eigenCrop.width, height / eigenCrop.height];
  return (pixel) => {
    const [x, y] = [pixel % width, Math.floor(pixel / width)];
    return (
      x >= Math.round(eigenCrop.left * across) &&
      x < Math.round(eigenCrop.right * across) &&
      y >= Math.round(eigenCrop.top * down) &&
      y < Math.round(eigenCrop.bottom * down)
    );
  };
}

/** Which pixels of a frame's middle square, scaled to `width` × `height`, are judged: only rows are cut off there. */
export function inEigenRows(width: number, height: number): (pixel: number) => boolean {
  const down = height / eigenCrop.height;
  const [top, bottom] = [Math.round(eigenCrop.top * down), Math.round(eigenCrop.bottom * down)];
  return (pixel) => {
    const y = Math.floor(pixel / width);
    return y >= top && y < bottom;
  };
}

/**
 * Root mean square error of depth, in metres, over the pixels whose true depth is known and which are judged.
 * @param predicted metres; limited to `depthRange`
 * @param judged which pixels count. Defaults to all
 * @returns NaN where no pixel counts
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
    sum += (Math.min(Math.max(predicted[i]!, nearest), farthest) - truth[i]!) ** 2;
    count++;
  }
  return Math.sqrt(sum / count);
}

/**
 * Mean angle in degrees between normals, three numbers a pixel, of any length, over the pixels whose true normal is
 * known (not zero).
 */
export function meanAngle(predicted: ArrayLike<number>, truth: ArrayLike<number>): number {
  let sum = 0;
  let count = 0;
  for (let i = 0; i < truth.length; i += 3) {
    const [tx, ty, tz] = [truth[i]!, truth[i + 1]!, truth[i + 2]!];
    const length = Math.hypot(tx, ty, tz);
    if (length === 0) continue;
    const [px, py, pz] = [predicted[i]!, predicted[i + 1]!, predicted[i + 2]!];
    const cosine = (tx * px + ty * py + tz * pz) / (length * Math.hypot(px, py, pz) || 1);
    sum += Math.acos(Math.min(Math.max(cosine, -1), 1));
    count++;
  }
  return ((sum / count) * 180) / Math.PI;
}
