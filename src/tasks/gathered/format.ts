/**
 * @file Packs of gathered pictures on disk: `NAME.json`, the index, beside `NAME.bin`, the pictures' bytes.
 *
 * Photos are raw RGB bytes. Icon layers and cutouts are RGBA with straight alpha, each compressed separately with raw
 * deflate. All offsets and lengths are in bytes of the `.bin` file.
 */
import { z } from "zod";

/** Value of `format` in every index. It changes when older readers could not read newer packs. */
export const packFormat = "xprompt-gathered-1";

/** The list of sources: the only JSON file of the folder that is not the index of a pack. */
export const sourcesFile = "sources.json";

const size = z.int().min(1).max(16384);
const place = z.int().min(0);
const unit = z.number().min(0).max(1);

export const splits = ["train", "heldOut"] as const;

/** Pictures for training, and held-out pictures for evaluation. */
export type Split = (typeof splits)[number];

const item = { name: z.string().min(1), words: z.string(), split: z.enum(splits) };
const header = {
  format: z.literal(packFormat),
  /** Length and checksum of the `.bin` file. */
  bytes: place,
  sha256: z.string().regex(/^[0-9a-f]{64}$/, "expected 64 hexadecimal digits"),
};

const photosIndex = z.strictObject({
  ...header,
  kind: z.literal("photos"),
  items: z.array(
    z.strictObject({
      ...item,
      width: size,
      height: size,
      offset: place,
      author: z.string().optional(),
      licence: z.string().optional(),
      url: z.string().optional(),
    }),
  ),
});

const iconsIndex = z.strictObject({
  ...header,
  kind: z.literal("icons"),
  style: z.string().min(1),
  family: z.string().min(1),
  size,
  items: z.array(
    z.strictObject({
      ...item,
      layers: z
        .array(
          z.strictObject({ offset: place, length: place, color: z.tuple([unit, unit, unit]).optional() }),
        )
        .min(1),
    }),
  ),
});

const cutoutsIndex = z.strictObject({
  ...header,
  kind: z.literal("cutouts"),
  items: z.array(z.strictObject({ ...item, width: size, height: size, offset: place, length: place })),
});

export const packIndex = z.discriminatedUnion("kind", [photosIndex, iconsIndex, cutoutsIndex]);

export type PackIndex = z.infer<typeof packIndex>;
export type PhotosIndex = z.infer<typeof photosIndex>;
export type IconsIndex = z.infer<typeof iconsIndex>;
export type CutoutsIndex = z.infer<typeof cutoutsIndex>;

/** The name of a photo's `part`-th crop; of the whole photo for 0. */
export const cropName = (name: string, part: number): string => (part === 0 ? name : `${name}#${part}`);

/** Whether the photo of that name is a crop of another. */
export const isCrop = (name: string): boolean => /#\d+$/.test(name);

/** The bytes of the `.bin` file that an index refers to. */
export function* regionsOf(index: PackIndex): Iterable<{ name: string; offset: number; length: number }> {
  for (const item of index.items) {
    if ("layers" in item) for (const layer of item.layers) yield { name: item.name, ...layer };
    else yield { length: item.width * item.height * 3, ...item };
  }
}
