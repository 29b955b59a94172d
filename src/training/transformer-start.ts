/**
 * @file What a transformer run starts from: weights drawn at random in the recipe's sizes, or a model's; and which of
 * them are trained.
 */
import { join } from "node:path";
import type { DecoderConfig } from "../chameleon/config.ts";
import { loadTokenizers, readWeights, type Tokenizers, type Weight } from "../chameleon/folder.ts";
import { VQ_PREFIX } from "../chameleon/image-tokenizer.ts";
import { type AdapterConfig, tablesWithOwnRows } from "../chameleon/lora.ts";
import type { Vocabulary } from "../chameleon/vocabulary.ts";
import { XPromptError } from "../errors.ts";
import { Random } from "../random.ts";
import { readJson, sha256File } from "../runtime/files.ts";
import type { SessionOptions } from "../runtime/session.ts";
import { checkParts } from "../xprompt/check-parts.ts";
import { modelConfigFromJson, modelConfigSchema } from "../xprompt/config.ts";
import { resolveModel } from "../xprompt/models.ts";
import { longestExample, type XPromptConfig } from "../xprompt/sequence.ts";
import { initialize, TrainingState } from "./state.ts";
import type { TransformerRecipe } from "./transformer.ts";

export interface Start {
  /** Folder of the tokenizers. */
  readonly folder: string;
  readonly tokenizers: Tokenizers;
  readonly xprompt: XPromptConfig;
  /** Sizes of the decoder, and what is trained beside its weights if they are not. */
  readonly config: DecoderConfig;
  /** The decoder's weights and their checksum, of the model that is started from. */
  readonly base?: { readonly weights: ReadonlyMap<string, Weight>; readonly checksum: string };
}

/** @throws XPromptError when a setting does not go with the model or the tokenizers that are started from */
export async function startOf(recipe: TransformerRecipe, session: SessionOptions): Promise<Start> {
  if (recipe.init !== undefined) return fromModel(recipe, recipe.init, session);
  if (recipe.train !== "all")
    refuse(
      `train: expected "all" for a model that starts from nothing, got "${recipe.train}" (name a model with init)`,
    );
  const { model, tokenizers: name = "nano" } = recipe;
  const folder = await resolveModel(name);
  const tokenizers = await loadTokenizers(folder, session);
  const { tokens = 16, maxTextTokens = 16, mask = "xprompt" } = recipe.xprompt;
  const longest = longestExample({ tokens, maxTextTokens }, tokenizers.image.codesPerImage);
  const xprompt = { tokens, maxTextTokens, mask, todoPosition: 64 * Math.ceil(longest / 64) };
  const heads = model.heads ?? 8;
  const config: DecoderConfig = {
    hiddenSize: model.hiddenSize ?? 256,
    intermediateSize: model.intermediateSize ?? 704,
    layers: model.layers ?? 6,
    heads,
    vocabularySize: tokenizers.text.vocabulary.size,
    keyValueHeads: heads,
    rmsNormEpsilon: 1e-5,
    ropeTheta: 10_000,
    maxPositions: 2 * xprompt.todoPosition,
    swinNorm: false,
  };
  if (config.hiddenSize % (2 * heads) !== 0)
    refuse(
      `model.hiddenSize: expected a multiple of ${2 * heads}, for ${heads} heads of even width, got ${config.hiddenSize}`,
    );
  const { xp } = tokenizers.text.vocabulary;
  if (tokens > xp.length)
    refuse(
      `xprompt.tokens: expected at most the ${xp.length} XP tokens of ${name}, got ${tokens} (train tokenizers with a larger text.xpTokens)`,
    );
  return { folder, tokenizers, xprompt, config };
}

async function fromModel(recipe: TransformerRecipe, name: string, session: SessionOptions): Promise<Start> {
  const folder = await resolveModel(name);
  const json = await readJson(join(folder, "config.json"), modelConfigSchema, "model config");
  const { decoder, image, xprompt, checksum: recorded } = modelConfigFromJson(json);
  const expect = (key: string, given: unknown, actual: unknown) => {
    if (given !== undefined && given !== actual)
      refuse(
        `${key}: expected ${JSON.stringify(actual)}, as ${name} has, got ${JSON.stringify(given)} (leave it out)`,
      );
  };
  if (decoder.quantization)
    refuse(
      `init: expected a model of plain weights, got quantized ones in ${name} (name the one that they were made from)`,
    );
  for (const key of ["hiddenSize", "intermediateSize", "layers", "heads"] as const)
    expect(`model.${key}`, recipe.model[key], decoder[key]);
  const { mask = xprompt.mask ?? "xprompt" } = recipe.xprompt;
  for (const key of ["tokens", "maxTextTokens"] as const)
    expect(`xprompt.${key}`, recipe.xprompt[key], xprompt[key]);
  expect("tokenizers", recipe.tokenizers, name);
  const tokenizers = await loadTokenizers(folder, session);
  const { vocabulary } = tokenizers.text;
  const all = await readWeights(folder, recorded);
  checkParts({ decoder, image, xprompt }, vocabulary, all);
  const weights = new Map([...all].filter(([key]) => !key.startsWith(`${VQ_PREFIX}.`)));
  const checksum = recorded ?? (await sha256File(join(folder, "model.safetensors"), "weights"));
  const adapter = adapterOf(recipe, xprompt, vocabulary);
  const config = adapter ? { ...decoder, adapter } : decoder;
  return { folder, tokenizers, xprompt: { ...xprompt, mask }, config, base: { weights, checksum } };
}

/** What is trained beside the weights; undefined where these are. */
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
    refuse("lora.imageHead: expected image tokens whose ids follow each other, got gaps between them");
  return { lora, embeddingTokens, headTokens };
}

/**
 * Weights and moments to start with.
 * @param shapes every parameter of the training graph
 */
export function initialState(
  { config, base }: Pick<Start, "config" | "base">,
  shapes: ReadonlyMap<string, readonly number[]>,
  seed: number,
): TrainingState {
  const { adapter } = config;
  const isFrozen = (name: string) => adapter !== undefined && base!.weights.has(name);
  const trained = new Map([...shapes].filter(([name]) => !isFrozen(name)));
  const state = adapter ? new TrainingState(trained, base) : new TrainingState(trained);
  initialize(state, (name) => Random.of(seed, "weights", name), deviationOf(config));
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

/**
 * Normal with deviation 0.02, the residual branches' last matrices smaller by √(2 · layers), as in GPT-2. An adapter
 * begins without effect: B is zero, A varies as in PEFT.
 */
function deviationOf({
  layers,
}: DecoderConfig): (name: string, shape: readonly number[]) => number | "ones" | "zeros" {
  return (name, shape) => {
    if (/lora_A\.weight$/.test(name)) return 1 / Math.sqrt(3 * shape[1]!);
    if (/(lora_B\.weight|norm\.bias)$/.test(name)) return "zeros";
    if (/norm\.weight$/.test(name)) return "ones";
    return /(o_proj|down_proj)\.weight$/.test(name)
      ? 0.02 / Math.sqrt(2 * layers)
      : shape.length > 1
        ? 0.02
        : 0;
  };
}

function refuse(what: string): never {
  throw new XPromptError(`transformer recipe: ${what}`);
}
