/** @file What a tokenizer run begins with: weights drawn at random, or another model's to go on from. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { z } from "zod";
import { loadTokenizers, readWeights, type Weight } from "../chameleon/folder.ts";
import { VQ_PREFIX } from "../chameleon/image-tokenizer.ts";
import type { VqganConfig } from "../chameleon/vqgan.ts";
import { XPromptError } from "../errors.ts";
import { Random } from "../random.ts";
import { readJson } from "../runtime/files.ts";
import { resolveModel } from "../xprompt/models.ts";
import { type Filling, initialize, TrainingState } from "./state.ts";

export const CODEBOOK = `${VQ_PREFIX}.quantize.embedding.weight`;

/** What the recipe says about it. */
export interface StartSettings {
  readonly seed: number;
  /** Model to go on from. */
  readonly init?: string;
  /** All, or the networks around a codebook that stays, or the decoder alone. */
  readonly train: "all" | "codec" | "decoder";
  /** Sizes of tokenizers that start from nothing; `encoderTile` of others, too. */
  readonly model: VqganConfig;
}

/** What a run begins with: sizes, and the weights and `tokenizer.json` of the model to go on from. */
export interface Start {
  readonly config: VqganConfig;
  readonly weights?: ReadonlyMap<string, Weight>;
  readonly tokenizer?: unknown;
}

/** @throws XPromptError when there is no such model, or the sizes do not go together */
export async function startOf({ init, train, model }: StartSettings): Promise<Start> {
  if (init !== undefined) {
    const folder = await resolveModel(init);
    const { image } = await loadTokenizers(folder);
    const weights = await readWeights(folder, undefined, (name) => name.startsWith(`${VQ_PREFIX}.`));
    const tokenizer = await readJson(join(folder, "tokenizer.json"), z.unknown(), "tokenizer");
    const config = model.encoderTile ? { ...image.config, encoderTile: model.encoderTile } : image.config;
    checkSizes(config);
    return { config, weights, tokenizer };
  }
  if (train !== "all")
    throw new XPromptError(
      `tokenizer recipe: train: ${train}: expected init to name the model whose codes are to stay`,
    );
  checkSizes(model);
  return { config: model };
}

/** Weights to train, as they begin, and those that stay. */
export function initialState(
  { weights }: Start,
  shapes: ReadonlyMap<string, readonly number[]>,
  { seed, train }: StartSettings,
): TrainingState {
  const names = [...shapes.keys()];
  const trained = names.filter((name) => isTrained(name, train));
  const kept = names.filter((name) => !trained.includes(name));
  const frozen = weights &&
    kept.length > 0 && {
      weights: new Map(kept.map((name) => [name, weights.get(name)!])),
      checksum: digestOf(kept.map((name) => weights.get(name)!)),
    };
  const state = new TrainingState(
    new Map(trained.map((name) => [name, shapes.get(name)!])),
    frozen || undefined,
  );
  if (weights) for (const name of trained) state.values(name).set(weights.get(name)!.data);
  else initialize(state, (name) => Random.of(seed, "weights", name), fillingOf);
  return state;
}

function isTrained(name: string, train: StartSettings["train"]): boolean {
  if (train === "decoder") return /\.(post_quant_conv|decoder)\./.test(name);
  return train === "all" || name !== CODEBOOK;
}

function digestOf(weights: readonly Weight[]): string {
  const hash = createHash("sha256");
  for (const { data } of weights) hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  return hash.digest("hex");
}

/** @throws XPromptError naming the first size that does not go with another one */
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

/** Kaiming-like deviations: variance 1 / fan-in; the codebook's entries start near the encoder's small outputs. */
function fillingOf(name: string, shape: readonly number[]): Filling {
  if (name === CODEBOOK) return { deviation: 0.5 };
  if (shape.length === 1) return { constant: name.endsWith("weight") ? 1 : 0 };
  return { deviation: 1 / Math.sqrt(shape.slice(1).reduce((product, dim) => product * dim, 1)) };
}
