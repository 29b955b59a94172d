/**
 * @file Prepares a Chameleon-family model for X-Prompt: adds rows for S XP tokens at the end of the vocabulary, and the
 * sizes of the method to the configuration. All else stays the same, bit for bit.
 *
 * The embedding of an XP token is the mean of all embeddings, which every layer can process, plus noise with a tenth of
 * their standard deviation, so that the S tokens differ. Its row of the output head is the mean row: the new tokens,
 * which are never sampled, get an average logit and take almost no probability from the others
 * (https://nlp.stanford.edu/~johnhew/vocab-expansion.html).
 */
import { join } from "node:path";
import { z } from "zod";
import {
  chameleonConfigSchema,
  decoderFromJson,
  vqganFromJson,
  vqganToJson,
} from "../chameleon/checkpoint/config.ts";
import { loadTextTokenizer } from "../chameleon/checkpoint/folder.ts";
import { copyProcessor, preprocessingOf } from "../chameleon/checkpoint/preprocessing.ts";
import { addedImageTokenizer } from "../chameleon/convert/input.ts";
import { TextTokenizer } from "../chameleon/tokenizers/text-tokenizer.ts";
import { tokenizerChecksum } from "../chameleon/tokenizers/tokenizer-file.ts";
import { type Vocabulary, xpTokenName } from "../chameleon/tokenizers/vocabulary.ts";
import { codesPerImage } from "../chameleon/tokenizers/vqgan.ts";
import { XPromptError } from "../errors.ts";
import { Random } from "../random.ts";
import { readJson, sha256File, writeFileAtomic, writeFolderAtomic, writeJson } from "../runtime/files.ts";
import { FLOATS, type TensorToWrite, writeSafetensors } from "../runtime/safetensors.ts";
import { openWeights, type WeightFolder } from "../runtime/weights.ts";
import { checkParts } from "./check-parts.ts";
import type { ModelConfig } from "./config.ts";
import { longestTodo, todoPositionAfter, type XPromptConfig } from "./sequence.ts";

const EMBEDDING = "model.embed_tokens.weight";
const HEAD = "lm_head.weight";
/** Standard deviation of the noise on XP embeddings, relative to that of the embeddings. */
const NOISE = 0.1;

export interface InitializeOptions {
  /** Model folder in Hugging Face's layout. */
  readonly base: string;
  /** Folder to write; must be empty or missing. */
  readonly output: string;
  /** S: XP tokens per example. */
  readonly xpTokens: number;
  /** The most text tokens of an instruction. */
  readonly maxTextTokens: number;
  readonly seed: number;
  /** Initialize the output head's image token rows again, for a base that was kept from generating pictures. */
  readonly reinitImageHead?: boolean;
  readonly signal?: AbortSignal;
  /** Called while the weights are written, in bytes. */
  onProgress?(done: number, total: number): void;
}

export interface Initialized {
  readonly output: string;
  readonly xprompt: XPromptConfig;
  /** Ids of the new tokens. */
  readonly xp: readonly number[];
  readonly vocabularySize: number;
  /** Positions that the longest example and TODO part need, and the position limit of the base. */
  readonly positions: { readonly used: number; readonly base: number };
}

const objectSchema = z.record(z.string(), z.unknown());

/** @throws XPromptError when the base is incomplete, of another family, quantized, or has XP tokens already */
export async function initializeModel(options: InitializeOptions): Promise<Initialized> {
  const { base, output, xpTokens, maxTextTokens, seed, reinitImageHead, signal } = options;
  const doing = `initializing from ${base}`;
  const raw = await readJson(join(base, "config.json"), objectSchema, "model config");
  if (raw.xprompt !== undefined)
    throw new XPromptError(
      `${doing}: expected a model without XP tokens, got one that has learned X-Prompt (continue its training: set init in a recipe)`,
    );
  if (raw.quantization_config)
    throw new XPromptError(
      `${doing}: expected plain weights, got quantized ones (use the model before quantization, and quantize the result)`,
    );
  const json = await readJson(join(base, "config.json"), chameleonConfigSchema, "model config");
  const tokenizer = await readJson(join(base, "tokenizer.json"), objectSchema, "tokenizer");
  const { vocabulary } = await loadTextTokenizer(base, json);
  const before = decoderFromJson(json);
  if (vocabulary.xp.length > 0 || vocabulary.size > before.vocabularySize)
    throw new XPromptError(
      `${doing}: expected a tokenizer of up to ${before.vocabularySize} tokens, none of them for XP, got ${vocabulary.size} with ${vocabulary.xp.length} (tokenizer.json belongs to another model)`,
    );

  const sizes = { tokens: xpTokens, maxTextTokens };
  const xp = Array.from({ length: xpTokens }, (_, i) => before.vocabularySize + i);
  const named = withTokens(tokenizer, xp);
  const stored = await openWeights(base);
  try {
    // A vqgan.ckpt beside the weights becomes part of them.
    const added = await addedImageTokenizer(base, stored, undefined);
    const image = added?.config ?? vqganFromJson(json.vq_config);
    await preprocessingOf(base, image);
    const codes = codesPerImage(image);
    const todoPosition = todoPositionAfter(sizes, codes);
    const used = todoPosition + longestTodo(sizes, codes);
    const config: ModelConfig = {
      decoder: {
        ...before,
        vocabularySize: before.vocabularySize + xpTokens,
        maxPositions: Math.max(before.maxPositions, used),
      },
      image,
      xprompt: { ...sizes, todoPosition },
    };
    const plan = [
      ...tensorsOf(stored, { vocabulary, added: xpTokens, seed, reinitImageHead }),
      ...[...(added?.weights ?? [])].map(([name, { shape, data }]) => ({
        name,
        dtype: "F32" as const,
        shape,
        data,
      })),
    ];
    checkParts(config, new TextTokenizer(named).vocabulary, new Map(plan.map((each) => [each.name, each])));
    const write = async (folder: string) => {
      const file = join(folder, "model.safetensors");
      await writeSafetensors(file, plan, { format: "pt" }, { signal, onProgress: options.onProgress });
      const changed = {
        ...configJson(raw, config, xp),
        ...(added && { vq_config: { ...Object(raw.vq_config), ...vqganToJson(image) } }),
        weights_sha256: await sha256File(file, "weights"),
        tokenizer_sha256: tokenizerChecksum(named),
      };
      await writeJson(join(folder, "config.json"), changed);
      await writeFileAtomic(join(folder, "tokenizer.json"), `${JSON.stringify(named)}\n`);
      await copyProcessor(base, folder);
    };
    await writeFolderAtomic(output, write, { signal });
    const positions = { used, base: before.maxPositions };
    return {
      output,
      xprompt: config.xprompt,
      xp,
      vocabularySize: config.decoder.vocabularySize,
      positions,
    };
  } finally {
    await stored.close();
  }
}

/** `tokenizer.json` with the XP tokens as added tokens. */
function withTokens(tokenizer: Record<string, unknown>, ids: readonly number[]): Record<string, unknown> {
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const added = ids.map((id, i) => ({ id, content: xpTokenName(i), ...flags }));
  return { ...tokenizer, added_tokens: [...((tokenizer.added_tokens as object[]) ?? []), ...added] };
}

/** `config.json` with the new sizes; the other settings as in the base. */
function configJson(
  raw: Record<string, unknown>,
  { decoder, xprompt }: ModelConfig,
  ids: readonly number[],
): Record<string, unknown> {
  const names = Object.fromEntries(ids.map((id, i) => [xpTokenName(i), id]));
  const map = raw.vocabulary_map;
  return {
    ...raw,
    vocab_size: decoder.vocabularySize,
    max_position_embeddings: decoder.maxPositions,
    ...(map !== null && typeof map === "object" && { vocabulary_map: { ...map, ...names } }),
    xprompt: {
      tokens: xprompt.tokens,
      todo_position: xprompt.todoPosition,
      max_text_tokens: xprompt.maxTextTokens,
    },
  };
}

interface Plan {
  readonly vocabulary: Vocabulary;
  /** Number of rows to add to the embedding and the output head. */
  readonly added: number;
  readonly seed: number;
  readonly reinitImageHead?: boolean;
}

/** The tensors to write. Each is read when it is written, so that only one is in memory. */
function tensorsOf(stored: WeightFolder, plan: Plan): TensorToWrite[] {
  return [...stored.tensors].map(([name, { dtype, shape }]) => {
    if (name !== EMBEDDING && name !== HEAD)
      return { name, dtype, shape, data: async () => (await stored.read(name)).bytes };
    const [rows, width] = shape as readonly [number, number];
    if (!FLOATS.includes(dtype))
      throw new XPromptError(
        `initializing from ${stored.folder}: ${name}: expected plain weights (${FLOATS.join(", ")}), got ${dtype} (use the model before quantization)`,
      );
    const extended = async () => extend(name, await stored.readFloat32(name), width, plan);
    return { name, dtype, shape: [rows + plan.added, width], data: extended };
  });
}

/** A table `[rows, width]` with rows for XP tokens appended. */
function extend(
  name: string,
  table: Float32Array,
  width: number,
  { vocabulary, added, seed, reinitImageHead }: Plan,
): Float32Array {
  const result = new Float32Array(table.length + added * width);
  result.set(table);
  const rows = Array.from({ length: table.length / width }, (_, row) => row);
  const fill = (into: readonly number[], like: readonly number[], noise: number, label: string) => {
    const { mean, deviation } = columns(table, width, like);
    for (const row of into) {
      const random = Random.of(seed, label, row);
      for (let i = 0; i < width; i++)
        result[row * width + i] = mean[i]! + (noise > 0 ? noise * deviation[i]! * random.normal() : 0);
    }
  };
  const fresh = Array.from({ length: added }, (_, i) => rows.length + i);
  fill(fresh, rows, name === EMBEDDING ? NOISE : 0, "xp");
  if (name === HEAD && reinitImageHead)
    fill([...vocabulary.imageTokens], [...vocabulary.textTokens], 1, "image head");
  return result;
}

/** Mean and standard deviation of each column over the given rows of a table. */
function columns(table: Float32Array, width: number, rows: readonly number[]) {
  const [mean, deviation] = [new Float64Array(width), new Float64Array(width)];
  for (const row of rows) for (let i = 0; i < width; i++) mean[i]! += table[row * width + i]! / rows.length;
  for (const row of rows)
    for (let i = 0; i < width; i++) deviation[i]! += (table[row * width + i]! - mean[i]!) ** 2 / rows.length;
  return { mean, deviation: deviation.map(Math.sqrt) };
}
