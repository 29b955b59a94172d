/** @file Initial weights of a tokenizer run: random ones, or those of another model. */
import { join } from "node:path";
import { z } from "zod";
import { loadTokenizers, readWeights, type Weight } from "../../chameleon/checkpoint/folder.ts";
import { CODEBOOK, isOfImages } from "../../chameleon/tokenizers/image-tokenizer.ts";
import { patchSide } from "../../chameleon/tokenizers/patches.ts";
import { gridSide, type VqganConfig } from "../../chameleon/tokenizers/vqgan.ts";
import { XPromptError } from "../../errors.ts";
import { sha256 } from "../../hash.ts";
import { product, psnrOf } from "../../numbers.ts";
import { Progress } from "../../progress.ts";
import { Random } from "../../random.ts";
import { readJson } from "../../runtime/files.ts";
import { requireRoom } from "../../runtime/memory.ts";
import { resolveModel } from "../../xprompt/models.ts";
import { type Initializer, initialize, TrainingState } from "../run/state.ts";
import { createSource, pictureOptions } from "./data.ts";
import { cellsOf, kMeans } from "./kmeans.ts";
import type { TokenizerRecipe } from "./recipe.ts";

/** Pictures are values in [−1, 1]. */
export const VALUE_RANGE = 2;

/** The start of a run: sizes, and the weights and `tokenizer.json` of the model to continue, if any. */
export interface Start {
  readonly config: VqganConfig;
  readonly weights?: ReadonlyMap<string, Weight>;
  readonly tokenizer?: unknown;
}

/**
 * @param quiet whether to show no progress
 * @throws XPromptError when the model does not exist, or the sizes are inconsistent
 */
export async function startOf(
  recipe: TokenizerRecipe,
  { quiet = false }: { readonly quiet?: boolean } = {},
): Promise<Start> {
  const { init, train, model } = recipe;
  if (init !== undefined) {
    const folder = await resolveModel(init);
    const { image } = await loadTokenizers(folder);
    const weights = await readWeights(folder, undefined, isOfImages);
    const tokenizer = await readJson(join(folder, "tokenizer.json"), z.unknown(), "tokenizer");
    const config = model.encoderTile ? { ...image.config, encoderTile: model.encoderTile } : image.config;
    checkSizes(config);
    return { config, weights, tokenizer };
  }
  if (train !== "all")
    throw new XPromptError(
      `tokenizer recipe: train: ${train}: expected init to name the model whose codebook stays frozen, got none`,
    );
  const config = model.patches ? { ...model, embedDim: 3 * patchSide(model) ** 2 } : model;
  checkSizes(config);
  if (!model.patches) return { config };
  const data = await patchCodebook(recipe, config, quiet);
  const shape = [config.codes, config.embedDim];
  return { config, weights: new Map([[CODEBOOK, { dtype: "float32", shape, data }]]) };
}

/**
 * Computes the codebook of patches: the centroids of the cells of training pictures.
 * @throws XPromptError when these have fewer cells than there are codes
 */
async function patchCodebook(
  recipe: TokenizerRecipe,
  config: VqganConfig,
  quiet: boolean,
): Promise<Float32Array> {
  const { seed, batch, kMeans: settings, threads } = recipe;
  const width = config.embedDim;
  const cells = gridSide(config) ** 2;
  const perBatch = batch * cells * width;
  const batches = Math.ceil(settings.pictures / batch);
  if (batches * batch * cells < config.codes)
    throw new XPromptError(
      `tokenizer recipe: kMeans.pictures: expected at least ${Math.ceil(config.codes / cells)}, for ${config.codes} codes of pictures with ${cells} cells, got ${settings.pictures}`,
    );
  // The cells, and a copy in the graph.
  const room = 2 * 4 * batches * perBatch;
  await requireRoom("tokenizer recipe", room, "the cells of kMeans.pictures", "take fewer, or smaller ones");
  const vectors = new Float32Array(batches * perBatch);
  const source = createSource(pictureOptions(recipe, config, "codebook"));
  for (let i = 0; i < batches; i++)
    vectors.set(cellsOf(source(i).pictures, config.resolution, patchSide(config)), i * perBatch);
  const progress = quiet ? undefined : new Progress({ label: "codebook", total: settings.iterations });
  try {
    return await kMeans(vectors, width, {
      count: config.codes,
      iterations: settings.iterations,
      random: Random.of(seed, "k-means"),
      session: { threads },
      onProgress: (iteration, error) =>
        progress?.update(iteration, { psnr: psnrOf(error, VALUE_RANGE).toFixed(2) }),
    });
  } finally {
    progress?.stop();
  }
}

/** Splits the weights into trained and frozen ones, and initializes the trained ones. */
export function initialState(
  { config, weights }: Start,
  shapes: ReadonlyMap<string, readonly number[]>,
  { seed, init, train, optimizer }: TokenizerRecipe,
): TrainingState {
  const names = [...shapes.keys()];
  const trained = names.filter((name) => isTrained(name, train, config));
  const kept = names.filter((name) => !trained.includes(name));
  const frozen = weights &&
    kept.length > 0 && {
      weights: new Map(kept.map((name) => [name, weights.get(name)!])),
      ...(init !== undefined && { checksum: digestOf(kept.map((name) => weights.get(name)!)) }),
    };
  const state = new TrainingState(
    new Map(trained.map((name) => [name, shapes.get(name)!])),
    frozen || undefined,
    optimizer,
  );
  initialize(state, (name) => Random.of(seed, "weights", name), initializerFor(config));
  for (const name of trained) {
    const weight = weights?.get(name);
    if (weight) state.values(name).set(weight.data);
  }
  return state;
}

/** A codebook of patches is never trained: its vectors are the pixels of the codes. */
function isTrained(name: string, train: TokenizerRecipe["train"], { patches }: VqganConfig): boolean {
  if (train === "decoder") return /\.(post_quant_conv|decoder)\./.test(name);
  return name !== CODEBOOK || (train === "all" && !patches);
}

const digestOf = (weights: readonly Weight[]): string => sha256(...weights.map(({ data }) => data));

/** @throws XPromptError naming the first size that is inconsistent with another one */
function checkSizes(config: VqganConfig): void {
  const { resolution, channelMultiplier, baseChannels, normGroups, encoderTile = resolution } = config;
  const refuse = (what: string) => {
    throw new XPromptError(`tokenizer recipe: ${what}`);
  };
  const shrink = 2 ** (channelMultiplier.length - 1);
  if (resolution % shrink !== 0)
    refuse(
      `model.resolution: expected a multiple of ${shrink}, for ${channelMultiplier.length} levels, got ${resolution}`,
    );
  if (resolution % encoderTile !== 0 || encoderTile % shrink !== 0)
    refuse(
      `model.encoderTile: expected a multiple of ${shrink} that divides the resolution ${resolution}, got ${encoderTile}`,
    );
  if (baseChannels % normGroups !== 0)
    refuse(`model.baseChannels: expected a multiple of the ${normGroups} normGroups, got ${baseChannels}`);
}

/** Last kernels of the patch decoder's residual branches. They start at zero, so that a branch has no effect at first. */
const LAST_OF_BRANCH = /\.decoder\.(conv_out|block\.\d+\.conv2)\.weight$/;

/** Variance 1 / fan-in, similar to Kaiming's. The codebook starts near the small outputs of the encoder. */
function initializerFor({ patches }: VqganConfig): (name: string, shape: readonly number[]) => Initializer {
  return (name, shape) => {
    if (name === CODEBOOK) return { deviation: 0.5 };
    if (patches && LAST_OF_BRANCH.test(name)) return { constant: 0 };
    if (shape.length === 1) return { constant: name.endsWith("weight") ? 1 : 0 };
    return { deviation: 1 / Math.sqrt(product(shape.slice(1))) };
  };
}
