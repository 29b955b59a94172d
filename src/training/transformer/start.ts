/**
 * @file The start of a transformer run: random weights with the recipe's sizes, or the weights of a model; and which
 * weights are trained.
 */
import { join } from "node:path";
import { z } from "zod";
import type { DecoderConfig, PictureBounds } from "../../chameleon/checkpoint/config.ts";
import {
  loadTokenizers,
  readWeights,
  type Tokenizers,
  type Weight,
  weightsChecksum,
} from "../../chameleon/checkpoint/folder.ts";
import { type AdapterConfig, tablesWithOwnRows } from "../../chameleon/model/lora.ts";
import { headWidth } from "../../chameleon/model/transformer.ts";
import { CODEBOOK, isOfImages } from "../../chameleon/tokenizers/image-tokenizer.ts";
import type { Vocabulary } from "../../chameleon/tokenizers/vocabulary.ts";
import type { VqganConfig } from "../../chameleon/tokenizers/vqgan.ts";
import { XPromptError } from "../../errors.ts";
import { Random } from "../../random.ts";
import { readJson } from "../../runtime/files.ts";
import type { SessionOptions } from "../../runtime/session-options.ts";
import { defined } from "../../settings.ts";
import { checkParts } from "../../xprompt/check-parts.ts";
import { modelConfigFromJson, modelConfigSchema } from "../../xprompt/config.ts";
import { resolveModel } from "../../xprompt/models.ts";
import {
  longestExample,
  longestTodo,
  todoPositionAfter,
  type XPromptConfig,
} from "../../xprompt/sequence.ts";
import { describeDifference } from "../recipe.ts";
import { type Initializer, initialize, TrainingState } from "../run/state.ts";
import { alignHeads } from "./aligned-heads.ts";
import { codeFeatures, standardized } from "./code-features.ts";
import type { TransformerRecipe } from "./recipe.ts";

export interface Start {
  /** Folder of the tokenizers. */
  readonly folder: string;
  readonly tokenizers: Tokenizers;
  readonly xprompt: XPromptConfig;
  /** Sizes of the decoder, and the adapter if the decoder's weights are frozen. */
  readonly config: DecoderConfig;
  /** The initial model. */
  readonly base?: {
    /** The decoder's weights. */
    readonly weights: ReadonlyMap<string, Weight>;
    readonly checksum: string;
    /** The families that it was trained on, as its config says. */
    readonly families?: readonly string[];
  };
  /** The image tokenizer's codebook, for a new model. */
  readonly codebook?: Weight;
}

/** What sequences are made of: known without the decoder's weights. */
export type Sequences = Pick<Start, "folder" | "tokenizers" | "xprompt">;

/** @throws XPromptError when a setting contradicts the initial model or the tokenizers */
export async function sequencesOf(recipe: TransformerRecipe, session: SessionOptions): Promise<Sequences> {
  return recipe.init === undefined
    ? newSequences(recipe, session)
    : modelSequences(recipe, recipe.init, session);
}

/** @throws XPromptError when a setting contradicts the initial model or the tokenizers */
export async function startOf(recipe: TransformerRecipe, session: SessionOptions): Promise<Start> {
  if (recipe.initialShare > 0 && (recipe.init === undefined || recipe.train !== "all"))
    refuse(
      `initialShare: expected init, and train "all", got init ${recipe.init ?? "none"} and train "${recipe.train}"`,
    );
  if (recipe.init !== undefined) return fromModel(recipe, recipe.init, session);
  if (recipe.train !== "all")
    refuse(
      `train: expected "all" for a new model, got "${recipe.train}" (name the model to start from with init)`,
    );
  const { model } = recipe;
  const { folder, tokenizers, xprompt } = await newSequences(recipe, session);
  const heads = model.heads ?? 8;
  const stored = await readWeights(folder, undefined, (name) => name === CODEBOOK);
  const codebook = stored.get(CODEBOOK)!;
  const config: DecoderConfig = {
    hiddenSize: model.hiddenSize ?? 256,
    intermediateSize: model.intermediateSize ?? 704,
    layers: model.layers ?? 6,
    heads,
    vocabularySize: tokenizers.text.vocabulary.size,
    keyValueHeads: heads,
    rmsNormEpsilon: 1e-5,
    rope: { theta: model.ropeTheta ?? 10_000, ...(model.ropeFactor && { factor: model.ropeFactor }) },
    maxPositions: 2 * xprompt.todoPosition,
    swinNorm: false,
    ...(model.sharedCodes && { codeFeatures: codeFeatures(codebook, tokenizers.text.vocabulary) }),
    ...(model.shortcuts && { shortcuts: true }),
    ...(model.wholePictures && { wholePictures: boundsOf(tokenizers.text.vocabulary) }),
  };
  if (config.hiddenSize % (2 * heads) !== 0)
    refuse(
      `model.hiddenSize: expected a multiple of ${2 * heads}, for ${heads} heads of even width, got ${config.hiddenSize}`,
    );
  checkTokens(xprompt.tokens, tokenizers.text.vocabulary, recipe.tokenizers ?? DEFAULT_TOKENIZERS);
  return { folder, tokenizers, xprompt, config, codebook };
}

const DEFAULT_TOKENIZERS = "nano";

async function newSequences(recipe: TransformerRecipe, session: SessionOptions): Promise<Sequences> {
  const folder = await resolveModel(recipe.tokenizers ?? DEFAULT_TOKENIZERS);
  const tokenizers = await loadTokenizers(folder, { ...session, resolution: recipe.model.resolution });
  checkResolution(tokenizers.image.config);
  const { tokens = 16, maxTextTokens = 16, mask = "xprompt", sampling } = recipe.xprompt;
  const todoPosition = todoPositionAfter({ tokens, maxTextTokens }, tokenizers.image.codesPerImage);
  return { folder, tokenizers, xprompt: { tokens, maxTextTokens, mask, todoPosition, sampling } };
}

/** The config of a model with the families that it was trained on, if it was (see `trainingFacts`). */
const trainedConfigSchema = modelConfigSchema.safeExtend({
  training: z.looseObject({ families: z.array(z.string()).optional() }).optional(),
});

async function modelSequences(recipe: TransformerRecipe, name: string, session: SessionOptions) {
  const folder = await resolveModel(name);
  const json = await readJson(join(folder, "config.json"), trainedConfigSchema, "model config");
  const stored = modelConfigFromJson(json);
  const { decoder, image, xprompt } = stored;
  const expect = (key: string, given: unknown, actual: unknown) => {
    if (given !== undefined && given !== actual)
      refuse(
        `${key}: expected ${JSON.stringify(actual)}, as ${name} has, got ${JSON.stringify(given)} (leave it out)`,
      );
  };
  if (decoder.quantization)
    refuse(
      `init: expected a model with plain weights, got quantized ones in ${name} (use the model before quantization)`,
    );
  const sizes = { ...decoder, ropeTheta: decoder.rope.theta, ropeFactor: decoder.rope.factor ?? 1 };
  for (const key of ["hiddenSize", "intermediateSize", "layers", "heads", "ropeTheta", "ropeFactor"] as const)
    expect(`model.${key}`, recipe.model[key], sizes[key]);
  for (const key of ["shortcuts", "wholePictures"] as const)
    if (recipe.model[key] && !decoder[key])
      refuse(
        `model.${key}: expected false, as ${name} has, got true (it is for models trained from scratch)`,
      );
  if (recipe.train !== "all") {
    expect("xprompt.tokens", recipe.xprompt.tokens, xprompt.tokens);
    if (!recipe.merge) {
      expect("xprompt.mask", recipe.xprompt.mask, xprompt.mask ?? "xprompt");
      const { sampling } = recipe.xprompt;
      const differences = sampling ? describeDifference(xprompt.sampling ?? {}, sampling) : [];
      if (differences.length > 0)
        refuse(
          `xprompt.sampling: expected that of ${name} with train "${recipe.train}", as adapters do not store it, got ${differences.join("; ")} (leave it out, or add --merge=true)`,
        );
    }
    if (recipe.optimizer.matrices === "muon")
      refuse(
        `optimizer.matrices: expected "adamw" with frozen layers (train is "${recipe.train}"), got "muon"`,
      );
  }
  expect("xprompt.maxTextTokens", recipe.xprompt.maxTextTokens, xprompt.maxTextTokens);
  expect("model.resolution", recipe.model.resolution, image.resolution);
  expect("tokenizers", recipe.tokenizers, name);
  const tokenizers = await loadTokenizers(folder, session);
  const changed: XPromptConfig = { ...xprompt, ...defined(recipe.xprompt) };
  const { codesPerImage } = tokenizers.image;
  const fits = longestExample(changed, codesPerImage) <= xprompt.todoPosition;
  const todoPosition = fits ? xprompt.todoPosition : todoPositionAfter(changed, codesPerImage);
  const families = json.training?.families;
  return { folder, tokenizers, xprompt: { ...changed, todoPosition }, stored, families };
}

async function fromModel(recipe: TransformerRecipe, name: string, session: SessionOptions): Promise<Start> {
  const { folder, tokenizers, xprompt, stored, families } = await modelSequences(recipe, name, session);
  const { decoder, image, checksum: recorded } = stored;
  const { vocabulary } = tokenizers.text;
  const all = await readWeights(folder, recorded);
  checkParts({ decoder, image, xprompt: stored.xprompt }, vocabulary, all);
  const weights = new Map([...all].filter(([key]) => !isOfImages(key)));
  const checksum = await weightsChecksum(folder, recorded);
  checkTokens(xprompt.tokens, vocabulary, name);
  const end = xprompt.todoPosition + longestTodo(xprompt, tokenizers.image.codesPerImage);
  const adapter = adapterOf(recipe, stored.xprompt, vocabulary);
  const { sharedCodes } = recipe.model;
  if (sharedCodes && adapter)
    refuse(`model.sharedCodes: expected it with all weights trained, got train "${recipe.train}"`);
  return {
    ...{ folder, tokenizers, xprompt },
    config: {
      ...decoder,
      maxPositions: Math.max(decoder.maxPositions, end),
      ...(adapter && { adapter }),
      ...(sharedCodes && { codeFeatures: codeFeatures(all.get(CODEBOOK)!, vocabulary) }),
    },
    base: { weights, checksum, families },
  };
}

const boundsOf = ({ beginImage, endImage }: Vocabulary): PictureBounds => ({
  begin: beginImage,
  end: endImage,
});

function checkTokens(tokens: number, { xp }: Vocabulary, name: string): void {
  if (tokens > xp.length)
    refuse(
      `xprompt.tokens: expected at most the ${xp.length} XP tokens of ${name}, got ${tokens} (train tokenizers with a larger text.xpTokens)`,
    );
}

/** @throws XPromptError when the resolution is not a multiple of the code size or the encoder tile */
function checkResolution({ resolution, channelMultiplier, encoderTile = 1 }: VqganConfig): void {
  const side = Math.max(encoderTile, 2 ** (channelMultiplier.length - 1));
  if (resolution % side !== 0)
    refuse(`model.resolution: expected a multiple of ${side}, for these tokenizers, got ${resolution}`);
}

/** The adapter to train; undefined when all weights are trained. */
function adapterOf(
  { train, lora: { imageHead, ...lora } }: TransformerRecipe,
  { tokens }: XPromptConfig,
  { xp, imageTokens }: Vocabulary,
): AdapterConfig | undefined {
  if (train === "all") return undefined;
  const embeddingTokens = xp.slice(0, tokens);
  if (train === "xp") return { embeddingTokens };
  if (!imageHead) return { lora, embeddingTokens };
  const headTokens = [...imageTokens].sort((a, b) => a - b);
  if (headTokens.at(-1)! - headTokens[0]! !== headTokens.length - 1)
    refuse("lora.imageHead: expected image tokens with consecutive ids, got gaps between them");
  return { lora, embeddingTokens, headTokens };
}

/**
 * The initial weights and optimizer moments.
 * @param shapes every parameter of the training graph
 */
export function initialState(
  { config, base, codebook, tokenizers }: Pick<Start, "config" | "base" | "codebook" | "tokenizers">,
  shapes: ReadonlyMap<string, readonly number[]>,
  { seed, optimizer, model: { alignedHeads } }: Pick<TransformerRecipe, "seed" | "optimizer" | "model">,
): TrainingState {
  const { adapter } = config;
  const isFrozen = (name: string) => adapter !== undefined && base!.weights.has(name);
  const trained = new Map([...shapes].filter(([name]) => !isFrozen(name)));
  const state = new TrainingState(trained, adapter && base, optimizer);
  initialize(state, (name) => Random.of(seed, "weights", name), initializerFor(config, base !== undefined));
  if (codebook && !config.codeFeatures)
    placeCodes(state, codebook, tokenizers.text.vocabulary, config.hiddenSize, seed);
  if (alignedHeads && !base) alignHeads(state, config, Math.sqrt(tokenizers.image.codesPerImage));
  for (const name of trained.keys()) {
    const weight = base?.weights.get(name);
    if (weight) state.values(name).set(weight.data);
  }
  for (const { own, table, tokens } of adapter ? tablesWithOwnRows(adapter) : []) {
    const { data } = base!.weights.get(table)!;
    for (const [i, token] of tokens.entries())
      state
        .values(own)
        .set(
          data.subarray(token * config.hiddenSize, (token + 1) * config.hiddenSize),
          i * config.hiddenSize,
        );
  }
  return state;
}

const DEVIATION = 0.02;
/** Share of the variance of an image token's row that its code determines. */
const FROM_CODES = 0.9;
/** Head width of the published models. */
const PUBLISHED_HEAD = 128;

/**
 * Normal with deviation 0.02; the last matrices of residual branches are smaller by √(2 · layers), as in GPT-2. Queries
 * and keys are normalized, so an attention score is at most √headDim: larger gains compensate for narrow heads, which
 * otherwise could not attend to a single position. An adapter has no effect at first: B is zero, and A as in PEFT.
 */
function initializerFor(
  config: DecoderConfig,
  continues: boolean,
): (name: string, shape: readonly number[]) => Initializer {
  const gain = Math.max(1, (PUBLISHED_HEAD / headWidth(config)) ** (1 / 4));
  return (name, shape) => {
    if (/lora_A\.weight$/.test(name)) return { deviation: 1 / Math.sqrt(3 * shape[1]!) };
    if (/(lora_B\.weight|norm\.bias)$/.test(name)) return { constant: 0 };
    if (/[qk]_norm\.weight$/.test(name)) return { constant: gain };
    if (/norm\.weight$/.test(name)) return { constant: 1 };
    if (/_mix$/.test(name)) return { constant: 0 };
    // The rows of a trained model are whole; the map is what they will share from now on.
    if (/\.code_map$/.test(name) && continues) return { constant: 0 };
    if (/\.code_map$/.test(name)) return { deviation: DEVIATION * Math.sqrt(FROM_CODES) };
    if (config.codeFeatures && /(embed_tokens|lm_head)\.weight$/.test(name))
      return { deviation: DEVIATION * Math.sqrt(1 - FROM_CODES) };
    if (/(o_proj|down_proj)\.weight$/.test(name))
      return { deviation: DEVIATION / Math.sqrt(2 * config.layers) };
    return { deviation: shape.length > 1 ? DEVIATION : 0 };
  };
}

/**
 * Initializes the rows of image tokens by a random linear map of their codes, so that similar codes start with similar
 * embeddings and similar logits. The embedding and the head each have their own map.
 * @param codebook `[codes, width]`
 */
function placeCodes(
  state: TrainingState,
  { data, shape: [codes, width] }: { readonly data: Float32Array; readonly shape: readonly number[] },
  { imageTokens }: Vocabulary,
  hiddenSize: number,
  seed: number,
): void {
  const even = standardized(data, codes!, width!);
  for (const table of ["model.embed_tokens.weight", "lm_head.weight"]) {
    const random = Random.of(seed, "code map", table);
    const deviation = DEVIATION * Math.sqrt(FROM_CODES / width!);
    const map = Float32Array.from({ length: width! * hiddenSize }, () => random.normal(0, deviation));
    const rows = state.values(table);
    for (const [code, token] of imageTokens.entries())
      for (let j = 0; j < hiddenSize; j++) {
        let value = rows[token * hiddenSize + j]! * Math.sqrt(1 - FROM_CODES);
        for (let i = 0; i < width!; i++) value += even[code * width! + i]! * map[i * hiddenSize + j]!;
        rows[token * hiddenSize + j] = value;
      }
  }
}

function refuse(what: string): never {
  throw new XPromptError(`transformer recipe: ${what}`);
}
