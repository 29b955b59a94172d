/** @file Converts gathered photographs and icons to pictures of a given size. */
import { XPromptError } from "../../errors.ts";
import { createImage, crop, fromBytes, type Image, resize, rounded } from "../../image/index.ts";
import {
  type Gathered,
  type IconLayer,
  isCrop,
  openGathered,
  type Photo,
} from "../../tasks/gathered/index.ts";

/** Opens the held-out part of the gathered pictures. @throws XPromptError when there is none */
export const openHeldOut = (folder: string): Gathered => openGathered(folder, "heldOut");

/** Resizes a square picture: bicubic enlargement, or area averages for reduction. */
export function fitted(image: Image, size: number): Image {
  if (image.width === size) return image;
  return resize(image, size, size, image.width < size ? "bicubic" : "area");
}

/** The central square of a photograph, `size` × `size` pixels. */
export function squareOf({ image: { width, height, data } }: Photo, size: number): Image {
  const side = Math.min(width, height);
  const [left, top] = [Math.floor((width - side) / 2), Math.floor((height - side) / 2)];
  return fitted(crop(fromBytes(width, height, data), left, top, side, side), size);
}

/**
 * The photographs whose shorter side has at least `size` pixels, without the crops of them.
 * @throws XPromptError when there are fewer than two: an example and a query are needed
 */
export function photographsOf({ photos }: Gathered, size: number, doing: string): readonly Photo[] {
  const whole = photos.filter(({ name }) => !isCrop(name));
  const large = whole.filter(({ image: { width, height } }) => Math.min(width, height) >= size);
  if (large.length >= 2) return large;
  throw new XPromptError(
    `${doing}: expected two or more held-out photographs of ${size} pixels, got ${large.length} of ${whole.length} (gather more, or choose a smaller --size)`,
  );
}

/** Composes layers on white, bottom first, to `size` × `size` pixels. */
export function iconPicture(layers: readonly IconLayer[], size: number): Image {
  const { width, height } = layers[0]!.image;
  const picture = createImage(width, height, [1, 1, 1]);
  for (const { image } of layers)
    for (let pixel = 0; pixel < width * height; pixel++) {
      const alpha = image.data[pixel * 4 + 3]! / 255;
      for (let c = 0; c < 3; c++) {
        const at = pixel * 3 + c;
        picture.data[at]! += alpha * (image.data[pixel * 4 + c]! / 255 - picture.data[at]!);
      }
    }
  return rounded(fitted(picture, size));
}

/** A flat layer in another colour, with the same shape. */
export function recoloured({ image }: IconLayer, color: readonly [number, number, number]): IconLayer {
  // Not `slice`: for a Buffer that returns a view.
  const data = Uint8Array.from(image.data);
  for (let i = 0; i < data.length; i += 4)
    for (let c = 0; c < 3; c++) data[i + c] = Math.round(255 * color[c]!);
  return { image: { ...image, data }, color };
}
