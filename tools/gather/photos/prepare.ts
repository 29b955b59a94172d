/** @file Photos as they are packed: resized, with further crops of large ones. */
import sharp, { type Sharp } from "sharp";
import type { Bytes, Split } from "../../../src/tasks/gathered/index.ts";

/**
 * Shorter side of a packed photo in pixels. Smaller photos stay as they are. Those that are held out are larger, since
 * results at full size are measured on them.
 */
const SHORT_SIDE = { train: 384, heldOut: 1024 };

/** Photos whose shorter side is less are left out. */
const LEAST_SIDE = 180;

/** From this shorter side on, a photo gives crops as well: squares of half that side, so that fine detail is there too. */
const CROPPED_SIDE = 1000;

/** The photo, then its crops; nothing where it is too small. */
export async function preparePhoto(bytes: Buffer, split: Split): Promise<Bytes[]> {
  const upright = await sharp(bytes)
    .rotate()
    .flatten({ background: "white" })
    .toColourspace("srgb")
    .png({ compressionLevel: 0 })
    .toBuffer();
  const { width, height } = await sharp(upright).metadata();
  const side = Math.min(width, height);
  if (side < LEAST_SIDE) return [];
  const shortSide = SHORT_SIDE[split];
  const whole = await pixels(sharp(upright), shortSide);
  if (side < CROPPED_SIDE) return [whole];
  return [whole, ...(await sharpestCrops(upright, width, height, shortSide))];
}

/** The most detailed square of each third of the photo. */
async function sharpestCrops(
  photo: Buffer,
  width: number,
  height: number,
  shortSide: number,
): Promise<Bytes[]> {
  const side = Math.floor(Math.min(width, height) / 2);
  const lefts = [0, 0.5, 1].map((share) => Math.round(share * (width - side)));
  const tops = [0, 0.5, 1].map((share) => Math.round(share * (height - side)));
  const crops = [];
  // One crop per column, or per row of an upright photo, so that they overlap little.
  for (const along of width >= height ? lefts : tops) {
    const candidates = (width >= height ? tops : lefts).map((across) =>
      width >= height ? { left: along, top: across } : { left: across, top: along },
    );
    const scored = await Promise.all(
      candidates.map(async (corner) => {
        const crop = await sharp(photo)
          .extract({ ...corner, width: side, height: side })
          .png({ compressionLevel: 0 })
          .toBuffer();
        return { crop, sharpness: (await sharp(crop).stats()).sharpness };
      }),
    );
    crops.push(scored.reduce((best, other) => (other.sharpness > best.sharpness ? other : best)).crop);
  }
  return Promise.all(crops.map((crop) => pixels(sharp(crop), shortSide)));
}

async function pixels(picture: Sharp, shortSide: number): Promise<Bytes> {
  const { data, info } = await picture
    .resize({
      width: shortSide,
      height: shortSide,
      fit: "outside",
      withoutEnlargement: true,
      kernel: "lanczos3",
    })
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, channels: 3, data };
}
