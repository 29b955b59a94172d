/**
 * @file Renders a scene with one ray per pixel at exact solids, and four more at outlines. Also gives exact depth,
 * normals and segmentation.
 */
import type { Image } from "../../image/image.ts";
import { clamp } from "../../numbers.ts";
import type { Scene } from "./scene.ts";
import { Tracer } from "./tracer.ts";

/** A rendered picture with its ground truth, row-major; all but the image is sampled at pixel centres. */
export interface Render {
  readonly image: Image;
  /** Distance along the viewing axis in world units, at most `skyDepth`. */
  readonly depth: Float32Array;
  /** Unit normals as x right, y up, z towards the camera: three numbers per pixel; zeros for the sky. */
  readonly normals: Float32Array;
  /** 0 for no object, i + 1 for `scene.objects[i]`. */
  readonly segmentation: Uint8Array;
  /** Index into `classNames`. */
  readonly classes: Uint8Array;
}

/** Sub-pixel offsets of the samples at outlines. */
const corners = [-0.25, 0.25];

/** Renders the scene `size` × `size` pixels; the same scene looks the same at every size. */
export function renderScene(scene: Scene, size: number): Render {
  const tracer = new Tracer(scene);
  const data = new Float32Array(size * size * 3);
  const depth = new Float32Array(size * size);
  const normals = new Float32Array(size * size * 3);
  const segmentation = new Uint8Array(size * size);
  const classes = new Uint8Array(size * size);
  const put = (pixel: number, weight: number) => {
    for (let c = 0; c < 3; c++) data[pixel * 3 + c]! += weight * Math.sqrt(clamp(tracer.color[c]!));
  };
  for (let y = 0, pixel = 0; y < size; y++) {
    for (let x = 0; x < size; x++, pixel++) {
      tracer.sample((x + 0.5) / size - 0.5, 0.5 - (y + 0.5) / size);
      put(pixel, 1);
      depth[pixel] = tracer.depth;
      for (let c = 0; c < 3; c++) normals[pixel * 3 + c] = tracer.normal[c]!;
      segmentation[pixel] = tracer.instance;
      classes[pixel] = tracer.classId;
    }
  }
  const differs = (a: number, b: number) =>
    segmentation[a] !== segmentation[b] ||
    classes[a] !== classes[b] ||
    Math.abs(normals[a * 3]! - normals[b * 3]!) + Math.abs(normals[a * 3 + 1]! - normals[b * 3 + 1]!) > 0.6;
  for (let y = 0, pixel = 0; y < size; y++) {
    for (let x = 0; x < size; x++, pixel++) {
      const isOutline =
        (x > 0 && differs(pixel, pixel - 1)) ||
        (x < size - 1 && differs(pixel, pixel + 1)) ||
        (y > 0 && differs(pixel, pixel - size)) ||
        (y < size - 1 && differs(pixel, pixel + size));
      if (!isOutline) continue;
      data.fill(0, pixel * 3, pixel * 3 + 3);
      for (const right of corners)
        for (const down of corners) {
          tracer.sample((x + 0.5 + right) / size - 0.5, 0.5 - (y + 0.5 + down) / size);
          put(pixel, 1 / 4);
        }
    }
  }
  return { image: { width: size, height: size, data }, depth, normals, segmentation, classes };
}
