/**
 * @file Adapters in the layout of Hugging Face's PEFT: `adapter_config.json` and `adapter_model.safetensors`. PEFT can
 * read our adapters, and we can read PEFT's. Supported are LoRA on the decoder's projections, and trained rows of the
 * embedding and the output head (`trainable_token_indices`), or of the embedding alone (the type TRAINABLE_TOKENS). Our
 * files also have the checksum of the base's weights in their metadata.
 */
import { join } from "node:path";
import { z } from "zod";
import { XPromptError } from "../../errors.ts";
import { formatShape, type Initializer } from "../../graph/index.ts";
import { sha256 } from "../../hash.ts";
import { readJson, sha256File, writeFolderAtomic, writeJson } from "../../runtime/files.ts";
import { checkJson } from "../../runtime/json.ts";
import { SafetensorsFile, writeSafetensors } from "../../runtime/safetensors.ts";
import { type AdapterConfig, loraTargets, OWN_ROWS, tablesWithOwnRows } from "../model/lora.ts";
import type { Weight } from "./folder.ts";

const CONFIG = "adapter_config.json";
const WEIGHTS = "adapter_model.safetensors";
/** Prefix of the model's weight names in PEFT. */
const PREFIX = "base_model.model.";
/** PEFT's name of trained rows in an adapter that has nothing else. */
const ROWS_ALONE = "trainable_tokens_delta";
const BASE_KEY = "base_sha256";
/** Metadata key of our files: SHA-256 of the tensors, the base's checksum and the settings. */
const CHECKSUM_KEY = "sha256";

export interface Adapter {
  readonly config: AdapterConfig;
  /** By their names in the training graph. */
  readonly weights: ReadonlyMap<string, Weight>;
}

/** An adapter read from a folder. */
export interface StoredAdapter extends Adapter {
  /** Identifies the adapter by its weights and settings. */
  readonly checksum: string;
  /** SHA-256 of the weights that it was trained on, if recorded. */
  readonly base?: string;
}

/** The base model of an adapter: its path, and the SHA-256 of its weights. */
export interface AdapterBase {
  readonly name: string;
  readonly checksum: string;
}

const tokenIds = z.array(z.int().min(0)).min(1);
const none = (schema: z.ZodType) => z.union([z.null(), schema]).optional();

/** PEFT's features that are not supported must have their default value. */
const loraSchema = z.looseObject({
  peft_type: z.literal("LORA"),
  r: z.int().min(1),
  lora_alpha: z.number(),
  trainable_token_indices: z
    .union([
      tokenIds.transform((ids) => ({ embed_tokens: ids, lm_head: undefined })),
      z.strictObject({ embed_tokens: tokenIds.optional(), lm_head: tokenIds.optional() }),
    ])
    .nullish(),
  bias: z.literal("none").default("none"),
  modules_to_save: none(z.array(z.never()).length(0)),
  rank_pattern: none(z.strictObject({})),
  alpha_pattern: none(z.strictObject({})),
  layer_replication: none(z.never()),
  alora_invocation_tokens: none(z.never()),
  use_bdlora: none(z.never()),
  fan_in_fan_out: none(z.literal(false)),
  lora_bias: none(z.literal(false)),
  use_dora: none(z.literal(false)),
  use_qalora: none(z.literal(false)),
  use_rslora: none(z.literal(false)),
});

const tokensSchema = z.looseObject({
  peft_type: z.literal("TRAINABLE_TOKENS"),
  token_indices: tokenIds,
  target_modules: z.tuple([z.literal("embed_tokens")]),
});

const configSchema = z.discriminatedUnion("peft_type", [loraSchema, tokensSchema]);

/** Writes an adapter folder atomically; replaces an older one. */
export async function writeAdapterFolder(path: string, adapter: Adapter, base: AdapterBase): Promise<void> {
  const { config, weights } = adapter;
  const settings = { base_model_name_or_path: base.name, inference_mode: true, task_type: "CAUSAL_LM" };
  const tensors = [...weights].map(([name, { shape, data }]) => {
    const stored = config.lora ? name : name.replace(OWN_ROWS, ROWS_ALONE);
    return { name: PREFIX + stored, dtype: "F32" as const, shape, data };
  });
  const json = { ...settings, ...settingsOf(config) };
  const metadata = { format: "pt", [BASE_KEY]: base.checksum };
  const write = async (folder: string) => {
    await writeSafetensors(join(folder, WEIGHTS), tensors, {
      ...metadata,
      [CHECKSUM_KEY]: checksumOf(tensors, metadata[BASE_KEY], json),
    });
    await writeJson(join(folder, CONFIG), json);
  };
  await writeFolderAtomic(path, write, { replace: true });
}

function settingsOf({ lora, embeddingTokens, headTokens }: AdapterConfig): z.input<typeof configSchema> {
  if (!lora)
    return {
      peft_type: "TRAINABLE_TOKENS",
      token_indices: [...embeddingTokens!],
      target_modules: ["embed_tokens"],
    };
  const own = {
    ...(embeddingTokens && { embed_tokens: [...embeddingTokens] }),
    ...(headTokens && { lm_head: [...headTokens] }),
  };
  return {
    peft_type: "LORA",
    r: lora.rank,
    lora_alpha: lora.alpha,
    lora_dropout: 0,
    bias: "none",
    target_modules: [...lora.targets],
    trainable_token_indices: own,
  };
}

/**
 * Reads an adapter folder.
 * @throws XPromptError when it is damaged or of an unsupported kind
 */
export async function readAdapterFolder(folder: string): Promise<StoredAdapter> {
  const configFile = join(folder, CONFIG);
  const raw = await readJson(configFile, z.unknown(), "adapter config");
  const settings = checkJson(raw, configSchema, `reading adapter config ${configFile}`);
  const path = join(folder, WEIGHTS);
  const file = await SafetensorsFile.open(path);
  try {
    const weights = new Map<string, Weight>();
    const tensors: { name: string; shape: readonly number[]; data: Float32Array }[] = [];
    for (const [stored, { shape }] of file.tensors) {
      const data = await file.readFloat32(stored);
      tensors.push({ name: stored, shape, data });
      weights.set(nameOf(stored, path), { dtype: "float32", shape, data });
    }
    const { [CHECKSUM_KEY]: recorded, [BASE_KEY]: base } = file.metadata;
    if (recorded !== undefined && recorded !== checksumOf(tensors, base, raw as object))
      throw new XPromptError(
        `reading adapter ${folder}: expected the recorded checksum, got another: its weights or settings are damaged (copy it again)`,
      );
    const config = configOf(settings, weights);
    const checksum = sha256(JSON.stringify([await sha256File(path, "adapter"), config]));
    return { config, weights, checksum, base };
  } finally {
    await file.close();
  }
}

/**
 * A checksum of the tensors, the base's checksum and the settings; it does not depend on the order of tensors or keys.
 */
function checksumOf(
  tensors: readonly {
    readonly name: string;
    readonly shape: readonly number[];
    readonly data: Float32Array;
  }[],
  base: string | undefined,
  settings: object,
): string {
  const parts = tensors.map(({ name, shape, data }) => [
    name,
    [...shape],
    sha256(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)),
  ]);
  // The path of the base may change.
  const ordered = Object.entries(settings)
    .filter(([key]) => key !== "base_model_name_or_path")
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return sha256(JSON.stringify([base, ordered, parts.sort(([a], [b]) => (a! < b! ? -1 : 1))]));
}

/** Name of a stored tensor in the training graph. */
function nameOf(stored: string, path: string): string {
  const name = stored.startsWith(PREFIX) ? stored.slice(PREFIX.length) : stored;
  const [, table] =
    /^(model\.embed_tokens|lm_head)\.(?:token_adapter\.)?trainable_tokens_delta$/.exec(name) ?? [];
  if (table !== undefined) return `${table}.${OWN_ROWS}`;
  const [, target] = /^model\.layers\.\d+\.(?:self_attn|mlp)\.(\w+)\.lora_[AB]\.weight$/.exec(name) ?? [];
  if (loraTargets.some((known) => known === target)) return name;
  throw new XPromptError(
    `reading adapter ${path}: expected adapters of ${loraTargets.join(", ")} and rows of the embedding and head, got ${stored} (not supported)`,
  );
}

function configOf(settings: z.output<typeof configSchema>, weights: ReadonlyMap<string, Weight>) {
  if (settings.peft_type === "TRAINABLE_TOKENS") return { embeddingTokens: settings.token_indices };
  const has = (target: string) => [...weights.keys()].some((name) => name.includes(`.${target}.`));
  const { embed_tokens: embeddingTokens, lm_head: headTokens } = settings.trainable_token_indices ?? {};
  const lora = { rank: settings.r, alpha: settings.lora_alpha, targets: loraTargets.filter(has) };
  return { lora, ...(embeddingTokens && { embeddingTokens }), ...(headTokens && { headTokens }) };
}

/**
 * Merges an adapter into the weights of a model: W + (alpha / rank) · B A, and trained rows replace the model's rows.
 * Unchanged weights are shared, not copied.
 * @throws XPromptError when the adapter is of another model, or the weights are quantized
 */
export function mergeAdapter<W extends Initializer>(
  model: ReadonlyMap<string, W>,
  { config, weights }: Adapter,
): Map<string, W> {
  const merged = new Map(model);
  const left = new Set(weights.keys());
  const part = (name: string): Weight => {
    const weight = weights.get(name);
    if (!weight) throw misfit(name, "a tensor", "none");
    left.delete(name);
    return weight;
  };
  const change = (name: string, shape: readonly [number | undefined, number | undefined]): Float32Array => {
    const weight = model.get(name);
    if (weight && !(weight.data instanceof Float32Array))
      throw new XPromptError(
        `using an adapter: expected a model with plain weights, got quantized ones at ${name} (merge first, then quantize)`,
      );
    const [rows, columns] = (weight?.shape ?? []) as readonly number[];
    if (!weight || (shape[0] ?? rows) !== rows || shape[1] !== columns)
      throw misfit(
        name,
        formatShape(shape.map((dim) => dim ?? "any")),
        weight ? `[${weight.shape}]` : "none",
      );
    const data = (weight.data as Float32Array).slice();
    merged.set(name, { ...weight, data });
    return data;
  };
  const { lora } = config;
  for (const nameA of [...weights.keys()].filter((name) => name.endsWith(".lora_A.weight"))) {
    const [a, b] = [part(nameA), part(nameA.replace(".lora_A.", ".lora_B."))];
    const [rank, columns] = a.shape;
    if (!lora || rank !== lora.rank || b.shape[1] !== rank)
      throw misfit(nameA, `rank ${lora?.rank}`, `[${a.shape}] and [${b.shape}]`);
    const matrix = change(nameA.replace(".lora_A.", "."), [b.shape[0], columns]);
    addProduct(matrix, b.data, a.data, rank, lora.alpha / lora.rank);
  }
  for (const { table, own, tokens } of tablesWithOwnRows(config)) {
    const { shape, data } = part(own);
    const [count, width] = shape as readonly [number, number];
    const matrix = change(table, [undefined, width]);
    const [last, rows] = [Math.max(...tokens), matrix.length / width];
    if (count !== tokens.length || last >= rows)
      throw misfit(
        own,
        `${tokens.length} rows, of tokens up to ${last}`,
        `${count} rows, for ${rows} tokens`,
      );
    for (const [i, token] of tokens.entries())
      matrix.set(data.subarray(i * width, (i + 1) * width), token * width);
  }
  for (const name of left) throw misfit(name, "its use in the config", "none");
  return merged;
}

function misfit(name: string, expected: string, got: string): XPromptError {
  return new XPromptError(
    `using an adapter: ${name}: expected ${expected}, got ${got} (the adapter is damaged, or belongs to another model)`,
    { code: "ERR_MISMATCH" },
  );
}

/** matrix `[m, n]` += scale · b `[m, k]` · a `[k, n]` */
function addProduct(matrix: Float32Array, b: Float32Array, a: Float32Array, k: number, scale: number): void {
  const n = a.length / k;
  for (let row = 0; row < b.length / k; row++)
    for (let i = 0; i < k; i++) {
      const factor = scale * b[row * k + i]!;
      for (let column = 0; column < n; column++) matrix[row * n + column]! += factor * a[i * n + column]!;
    }
}
