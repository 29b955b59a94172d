/** @file The outlines of a scene, from its geometry rather than from its colours. */
import type { Render } from "../world/render.ts";

/** Cosine of the angle between neighbouring surface directions below which there is an edge. */
const crease = 0.75;

/** 1 on a line, else 0. Lines are where the object, the class or an object's surface direction changes. */
export function outlines({ image, segmentation, classes, normals }: Render): Uint8Array {
  const { width, height } = image;
  const thickness = Math.max(1, Math.round(width / 64));
  const lines = new Uint8Array(width * height);
  const differs = (a: number, b: number) => {
    if (segmentation[a] !== segmentation[b] || classes[a] !== classes[b]) return true;
    if (segmentation[a] === 0) return false;
    const [p, q] = [a * 3, b * 3];
    return (
      normals[p]! * normals[q]! + normals[p + 1]! * normals[q + 1]! + normals[p + 2]! * normals[q + 2]! <
      crease
    );
  };
  for (let y = 0, pixel = 0; y < height; y++)
    for (let x = 0; x < width; x++, pixel++)
      for (let k = 1; k <= thickness; k++) {
        if (x + k < width && differs(pixel, pixel + k)) lines[pixel] = 1;
        if (y + k < height && differs(pixel, pixel + k * width)) lines[pixel] = 1;
      }
  return lines;
}
