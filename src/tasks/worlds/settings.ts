/** @file Settings of the worlds from which pictures are sampled. */
import { z } from "zod";

const weight = z.number().min(0);

export const worldSettings = {
  /** Folder of gathered pictures, for photos and icons (docs/training.md). */
  pictures: z.string().min(1).optional(),
  /** Weights of procedural scenes, photographs, and icons. */
  worlds: z
    .strictObject({
      scenes: weight.default(1),
      photos: weight.default(0),
      icons: weight.default(0),
    })
    .refine(
      ({ scenes, photos, icons }) => scenes + photos + icons > 0,
      "expected one of them above 0, got zeros alone",
    )
    .prefault({}),
};

export type WorldSettings = z.output<z.ZodObject<typeof worldSettings>>;
