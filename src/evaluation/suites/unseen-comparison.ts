/**
 * @file Figures of models that are compared with a model but do not come with it: one whose training had the held-out tasks
 * ("full"), and one with the plain causal mask ("causal"). They lie in the model's folder, with how they were made.
 */
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { readJson, writeFileAtomic } from "../../runtime/files.ts";

export const comparisonModels = ["full", "causal"] as const;
export type ComparisonModel = (typeof comparisonModels)[number];

const figuresSchema = z.object({
  n: z.int().min(1),
  /** Means by metric. */
  means: z.record(z.string(), z.number()),
  /** 95% intervals by metric. */
  ci: z.record(z.string(), z.tuple([z.number(), z.number()])),
});

const measuredSchema = z.object({
  fingerprint: z.string(),
  recipe: z.string().nullable(),
  command: z.string(),
  seed: z.int(),
  settings: z.record(z.string(), z.union([z.number(), z.record(z.string(), z.number())])),
  tasks: z.record(z.string(), figuresSchema),
});
export type StoredFigures = z.output<typeof measuredSchema>;

const schema = z.object({ full: measuredSchema.optional(), causal: measuredSchema.optional() });
export type Comparison = z.output<typeof schema>;

/** Where the figures beside a model are. */
export const comparisonPath = (modelFolder: string): string =>
  join(modelFolder, "evaluation", "unseen-comparison.json");

/** What is stored for a model; nothing where there is no file. @throws XPromptError for a broken one */
export async function readComparison(modelFolder: string): Promise<Comparison> {
  const path = comparisonPath(modelFolder);
  return existsSync(path) ? readJson(path, schema, "comparison figures") : {};
}

/** Puts the figures of one of the two beside a model; those of the other stay. */
export async function storeComparison(
  modelFolder: string,
  as: ComparisonModel,
  figures: StoredFigures,
): Promise<string> {
  const path = comparisonPath(modelFolder);
  const merged = { ...(await readComparison(modelFolder)), [as]: figures };
  await mkdir(dirname(path), { recursive: true });
  await writeFileAtomic(path, `${JSON.stringify(merged, null, 2)}\n`);
  return path;
}
