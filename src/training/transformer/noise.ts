/** @file Noise on the targets that the model reads in training (token dropout and token noise). */
import { Random } from "../../random.ts";
import { type Codes, HIDDEN_CODE } from "../../xprompt/sequence.ts";
import { alone } from "../distributed/collective.ts";
import type { Context } from "./context.ts";
import type { ContextBatch, ContextSettings } from "./contexts.ts";
import type { Mix } from "./mix.ts";

/** The settings that change how targets are read, not which contexts there are. */
export const noiseSettings = [
  "tokenNoise",
  "tokenDropout",
  "targetDropout",
  "captionDropout",
  "scheduledSampling",
  "scheduledSamplingFrom",
] as const;

type Noise = Pick<Mix, "tokenNoise" | "tokenDropout" | "targetDropout">;

/** Adds the noise of a step to the targets of a batch. A batch that is measured gets none. */
export function withNoise(
  batch: ContextBatch<Codes>,
  step: number,
  { seed, part, mix, share = alone }: Pick<ContextSettings, "seed" | "part" | "mix" | "share">,
): ContextBatch<Codes> {
  if (part !== "train") return batch;
  const { kind, contexts } = batch;
  const noise =
    kind === "captions"
      ? { ...mix, tokenDropout: mix.captionDropout ?? mix.tokenDropout, targetDropout: 0 }
      : mix;
  if (noise.tokenNoise === 0 && noise.tokenDropout === 0 && noise.targetDropout === 0) return batch;
  const first = share.rank * contexts.length;
  const read = contexts.map((context, i) =>
    corruptTargets(context, noise, Random.of(seed, "misread", part, step, first + i)),
  );
  return { ...batch, contexts: read };
}

/** Masks some codes of the targets and replaces others by wrong ones (token dropout and token noise). */
function corruptTargets(context: Context<Codes>, noise: Noise, random: Random): Context<Codes> {
  const todos = context.todos.map((todo) => {
    if ("words" in todo.target) return todo;
    const { picture } = todo.target;
    const hidden = drawHidden(noise, random);
    const read = Array.from(picture, (code) => {
      if (random.chance(hidden)) return HIDDEN_CODE;
      return random.chance(noise.tokenNoise) ? picture[random.integer(0, picture.length - 1)]! : code;
    });
    return { ...todo, target: { picture, read } };
  });
  return { ...context, todos };
}

/** Samples the share of a target's codes that are masked. */
function drawHidden({ tokenDropout, targetDropout }: Noise, random: Random): number {
  // A share of 0 takes no random number, so that runs without this setting stay as they are.
  if (targetDropout > 0 && random.chance(targetDropout)) return 1;
  return random.chance(tokenDropout) ? random.uniform() : 0;
}
