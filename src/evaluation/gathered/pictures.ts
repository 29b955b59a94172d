/** @file Gathered photographs and icons as pictures that can be changed, drawn from and measured. */
import { XPromptError } from "../../errors.ts";
import { createImage, crop, fromBytes, type Image, resize } from "../../image/index.ts";
import { type Gathered, type IconLayer, openGathered, type Photo } from "../../tasks/gathered/index.ts";

/** The pictures that no model is trained on. @throws XPromptError where there are none */
export const openHeldOut = (folder: string): Gathered => openGathered(folder, "heldOut");

/** A square picture at another size: smoothly larger, or by the mean of what each new pixel covers. */
export function fitted(image: Image, size: number): Image {
  if (image.width === size) return image;
  return resize(image, size, size, image.width < size ? "bicubic" : "area");
}

/** The middle square of a photograph, `size` × `size` pixels. */
export function squareOf({ image: { width, height, data } }: Photo, size: number): Image {
  const side = Math.min(width, height);
  const [left, top] = [Math.floor((width - side) / 2), Math.floor((height - side) / 2)];
  return fitted(crop(fromBytes(width, height, data), left, top, side, side), size);
}

/**
 * The photographs whose shorter side has `size` pixels or more.
 * @throws XPromptError where there are fewer than two: one is the example, one the query
 */
export function photographsOf({ photos }: Gathered, size: number, doing: string): readonly Photo[] {
  const large = photos.filter(({ image: { width, height } }) => Math.min(width, height) >= size);
  if (large.length >= 2) return large;
  throw new XPromptError(
    `${doing}: expected two or more held-out photographs of ${size} pixels, got ${large.length} of ${photos.length} (gather more, or choose a smaller --size)`,
  );
}

/** Layers over white, bottom first, `size` × `size` pixels. */
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
  return fitted(picture, size);
}

/** A flat layer in another colour: its shape stays. */
export function recoloured({ image }: IconLayer, color: readonly [number, number, number]): IconLayer {
  // Not `slice`: of a Buffer it is a view.
  const data = Uint8Array.from(image.data);
  for (let i = 0; i < data.length; i += 4)
    for (let c = 0; c < 3; c++) data[i + c] = Math.round(255 * color[c]!);
  return { image: { ...image, data }, color };
}
