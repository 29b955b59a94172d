/** @file Reads the preprocessing of pictures from a checkpoint's folder: Hugging Face's processor configuration. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { XPromptError } from "../errors.ts";
import { readJson } from "../runtime/files.ts";
import { type Preprocessing, huggingFacePreprocessing as published } from "./preprocess.ts";
import type { Filter } from "./resize.ts";

/** `PIL.Image.Resampling` by number. */
export const filters: readonly Filter[] = ["nearest", "lanczos", "triangle", "bicubic", "box", "hamming"];

const edge = z.int().min(1).max(16_384);
const box = z.object({ height: edge, width: edge });
const square = z.union([box, edge.transform((side) => ({ height: side, width: side }))]);
const values = z.union([
  z.tuple([z.number(), z.number(), z.number()]),
  z.number().transform((each): [number, number, number] => [each, each, each]),
]);

/** The largest absolute value of a preprocessed pixel: unscaled values go up to 255. */
const MOST_VALUE = 1000;

/** Fields of the ChameleonImageProcessor. Missing or null fields have the published values. */
const schema = z.looseObject({
  image_processor_type: z
    .string()
    .regex(/^ChameleonImageProcessor(Fast|Pil)?$/, "expected a ChameleonImageProcessor")
    .nullish(),
  do_resize: z.literal(true).nullish(),
  size: z
    .union([z.object({ shortest_edge: edge }).transform((size) => size.shortest_edge), box, edge])
    .nullish(),
  resample: z
    .int()
    .min(0)
    .max(filters.length - 1)
    .nullish(),
  do_center_crop: z.boolean().nullish(),
  crop_size: square.nullish(),
  do_rescale: z.boolean().nullish(),
  rescale_factor: z.number().nullish(),
  do_normalize: z.boolean().nullish(),
  image_mean: values.nullish(),
  image_std: values.refine((std) => !std.includes(0), "expected deviations other than 0").nullish(),
});
/** transformers 5 has one file for the processors of all kinds; earlier versions have a file for images. */
const processorSchema = z.looseObject({ image_processor: schema.optional() });

/**
 * The settings in a folder's `processor_config.json` or `preprocessor_config.json`; the published ones if there is
 * neither.
 * @throws XPromptError when a file is broken, or has settings that Chameleon's processor does not support.
 */
export async function readPreprocessing(folder: string): Promise<Preprocessing> {
  return (await readProcessor(folder)).settings;
}

/** The settings, and the file that has them or could have. @throws XPromptError as `readPreprocessing` */
export async function readProcessor(
  folder: string,
): Promise<{ readonly settings: Preprocessing; readonly path: string }> {
  const [all, alone] = [join(folder, "processor_config.json"), join(folder, "preprocessor_config.json")];
  const exists = (path: string) => stat(path).then(Boolean, () => false);
  const inAll = (await exists(all))
    ? (await readJson(all, processorSchema, "processor config")).image_processor
    : undefined;
  const json = inAll ?? ((await exists(alone)) ? await readJson(alone, schema, "processor config") : {});
  const settings: Preprocessing = {
    size: json.size ?? published.size,
    longEdge: "floor",
    filter: filters[json.resample ?? 1]!,
    ...((json.do_center_crop ?? true) && { crop: json.crop_size ?? published.crop }),
    scale: (json.do_rescale ?? true) ? (json.rescale_factor ?? published.scale) : 1,
    mean: (json.do_normalize ?? true) ? (json.image_mean ?? published.mean) : [0, 0, 0],
    std: (json.do_normalize ?? true) ? (json.image_std ?? published.std) : [1, 1, 1],
  };
  const path = inAll ? all : alone;
  const { size, crop } = settings;
  const [width, height] = typeof size === "number" ? [size, size] : [size.width, size.height];
  if (crop && (crop.width > width || crop.height > height))
    throw new XPromptError(
      `reading processor config ${path}: expected crop_size within size, ${width} × ${height}, got ${crop.width} × ${crop.height} (correct the file)`,
    );
  const { scale, mean, std } = settings;
  const extremes = [0, 255].flatMap((level) => mean.map((each, c) => (level * scale - each) / std[c]!));
  if (!extremes.every((value) => Math.abs(value) <= MOST_VALUE))
    throw new XPromptError(
      `reading processor config ${path}: expected rescale_factor, image_mean and image_std that map pixels to values up to ${MOST_VALUE}, got ${Math.max(...extremes.map(Math.abs))} (correct the file)`,
    );
  return { settings, path };
}
