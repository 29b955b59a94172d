/**
 * @file What a tokenized data set says of itself. Its folder, or prefix on object storage, holds
 *
 * | name | content |
 * |---|---|
 * | `shard-00001-of-00008.parquet` | a range of the batches, as rows (`rows.ts`) |
 * | `shard-00001-of-00008.json` | written after it: its digest and counts |
 * | `held-out.parquet`, `held-out.json` | the contexts that runs are measured on |
 * | `manifest.json` | written last: the settings, and what the other `.json` say |
 */
import { z } from "zod";
import type { Tokenizers, Weight } from "../../chameleon/checkpoint/folder.ts";
import { XPromptError } from "../../errors.ts";
import { sha256 } from "../../hash.ts";
import { checkJson, parseJson } from "../../runtime/json.ts";
import type { Storage } from "../../runtime/storage/storage.ts";
import { noiseSettings } from "../transformer/noise.ts";
import type { TransformerRecipe } from "../transformer/recipe.ts";
import type { Sequences } from "../transformer/start.ts";

export const MANIFEST = "manifest.json";
export const HELD_OUT = "held-out";

const FORMAT = "xprompt-tokenized";
const VERSION = 1;

const count = z.int().min(0);
const digest = z.string().regex(/^[0-9a-f]{64}$/, "expected a SHA-256");

export const shardSchema = z.strictObject({
  name: z.string(),
  /** Digest of the plan that it is a part of. */
  plan: digest,
  batches: count,
  contexts: count,
  tokens: count,
  bytes: count,
  sha256: digest,
});
export type Shard = z.infer<typeof shardSchema>;

const planSchema = z.strictObject({
  /** Digest of the image and the text tokenizer. */
  tokenizers: digest,
  seed: count,
  /** Digests of the data sets and gathered pictures. */
  sets: z.array(z.string()),
  /** What decides which contexts there are, and how they become sequences. */
  settings: z.record(z.string(), z.unknown()),
  batches: count.min(1),
  shards: count.min(1),
});
/** What is to be tokenized: the same plan gives the same tokens on every machine. */
export type Plan = z.infer<typeof planSchema>;

const manifestSchema = z
  .strictObject({
    format: z.literal(FORMAT),
    version: z.literal(VERSION),
    plan: planSchema,
    shards: z.array(shardSchema).min(1),
    heldOut: shardSchema,
  })
  .superRefine(({ plan, shards }, { addIssue }) => {
    const wrong = (path: PropertyKey[], message: string) => addIssue({ code: "custom", path, message });
    if (shards.length !== plan.shards)
      wrong(["shards"], `expected ${plan.shards} shards as planned, got ${shards.length}`);
    else
      for (const [i, { batches }] of shards.entries()) {
        const { from, to } = shardRange(i, plan);
        if (batches !== to - from)
          wrong(["shards", i, "batches"], `expected ${to - from} as planned, got ${batches}`);
      }
  });
export type Manifest = z.infer<typeof manifestSchema>;

export const manifestOf = (plan: Plan, shards: readonly Shard[], heldOut: Shard): Manifest => ({
  ...{ format: FORMAT, version: VERSION, plan },
  ...{ shards: [...shards], heldOut },
});

export const digestOf = (value: Plan | Manifest): string => sha256(JSON.stringify(value));

/** Name of shard `index` of `count`, counted from 0, without its ending. */
export const shardName = (index: number, count: number): string =>
  `shard-${String(index + 1).padStart(5, "0")}-of-${String(count).padStart(5, "0")}`;

/** The batches of shard `index` of `count`: from the first up to, but without, the second number. */
export const shardRange = (index: number, { batches, shards }: Pick<Plan, "batches" | "shards">) => ({
  from: Math.floor((index * batches) / shards),
  to: Math.floor(((index + 1) * batches) / shards),
});

/** The manifest. @throws XPromptError when there is none */
export async function readManifest(storage: Storage): Promise<Manifest> {
  const doing = `reading tokenized data ${storage.place}`;
  const found = await readRecord(storage, MANIFEST, manifestSchema);
  if (found) return found;
  throw new XPromptError(
    `${doing}: expected ${MANIFEST}, found none (check the place, or finish it with xprompt data tokenize)`,
  );
}

/** A JSON object of the storage; undefined if there is none. @throws XPromptError when it is damaged */
export async function readRecord<S extends z.ZodType>(
  storage: Storage,
  name: string,
  schema: S,
): Promise<z.infer<S> | undefined> {
  const bytes = await storage.read(name);
  if (!bytes) return undefined;
  const doing = `reading ${storage.place}/${name}`;
  const value = parseJson(Buffer.from(bytes).toString("utf8"), doing, "tokenize the data again");
  return checkJson(value, schema, doing);
}

/**
 * What contexts and sequences depend on, but for the seed and the places of data sets. Settings of noise do not
 * count, for it is added in training; nor does the length of XP blocks, which are laid out anew.
 */
export function settingsOf(recipe: TransformerRecipe, { tokenizers, xprompt }: Sequences): Plan["settings"] {
  const others: readonly string[] = [...noiseSettings, "pairs", "pictures", "pairsRequired"];
  const mix = Object.entries(recipe.mix).filter(([key]) => !others.includes(key));
  const settings = {
    contexts: recipe.contexts,
    todos: recipe.todos,
    heldOutBatches: recipe.heldOutBatches,
    resolution: tokenizers.image.config.resolution,
    maxTextTokens: xprompt.maxTextTokens,
    mix: Object.fromEntries(mix),
  };
  return JSON.parse(JSON.stringify(settings)) as Plan["settings"];
}

/**
 * Digest of what turns pictures and texts into tokens; the network that decodes pictures does not count.
 * @param weights of the image tokenizer
 */
export function tokenizersDigest(
  weights: ReadonlyMap<string, Weight>,
  { text, preprocessing }: Pick<Tokenizers, "text" | "preprocessing">,
): string {
  const encoding = [...weights]
    .filter(([name]) => !/\.(decoder|post_quant_conv)\./.test(name))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, { data }]) => [name, sha256(data)]);
  return sha256(JSON.stringify([encoding, text.checksum, ...(preprocessing ? [preprocessing] : [])]));
}
