/** @file Settings of a transformer run. */
import { z } from "zod";
import { loraTargets } from "../../chameleon/model/lora.ts";
import { recommendedSampling } from "../../xprompt/request.ts";
import { exampleMasks } from "../../xprompt/sequence.ts";
import { recipeKind } from "../recipe.ts";
import { runSettings } from "../run/task.ts";
import { mixSettings } from "./mix.ts";

/** Weights of the next-token loss, by region. */
const lossSettings = z.strictObject({
  target: z.number().min(0).default(1),
  /** Answers in words. */
  words: z.number().min(0).default(1),
  query: z.number().min(0).default(0.1),
  /** Instructions. Without a query picture only the first `maxTextTokens` tokens count; of captions the first 32. */
  instruction: z.number().min(0).default(0.1),
  /** Weight of the z-loss, log² Z of the softmax (https://arxiv.org/abs/2204.02311). */
  zLoss: z.number().min(0).default(1e-5),
  /**
   * Weight of the squared distance between the mean codebook vector under the model's distribution and the true code's
   * vector, in units of the codebook's variance. For models that draw with `expected`.
   */
  expected: z.number().min(0).default(0),
});
/** Weights of the loss, by the region that is predicted. */
export type RegionWeights = Omit<z.output<typeof lossSettings>, "zLoss" | "expected">;

export const transformerRecipe = recipeKind(
  "transformer",
  z.strictObject({
    ...runSettings,
    /**
     * Name or folder of the model to start from; it determines tokenizers and sizes. Without it, weights are initialized
     * at random.
     */
    init: z.string().optional(),
    /**
     * Which weights to train: all; or, with a frozen base model, only the embeddings of the XP tokens ("xp"), or these
     * and low-rank adapters ("lora").
     */
    train: z.enum(["all", "xp", "lora"]).default("all"),
    /** Applies when `train` is "lora". */
    lora: z
      .strictObject({
        rank: z.int().min(1).default(8),
        /** The adapter's output is scaled by `alpha / rank`. */
        alpha: z.number().positive().default(16),
        targets: z
          .array(z.enum(loraTargets))
          .min(1)
          .default([...loraTargets]),
        /** Also train the head's rows of image tokens, as Anole did to restore image generation. */
        imageHead: z.boolean().default(false),
      })
      .prefault({}),
    /** Merge a trained adapter into the weights and write a complete model. */
    merge: z.boolean().default(false),
    /** Name or folder of the model whose tokenizers are used. Defaults to `init`, or to nano. */
    tokenizers: z.string().optional(),
    /** Contexts per step. */
    contexts: z.int().min(1).default(4),
    /** TODO parts per context, which share its examples. */
    todos: z.int().min(1).default(3),
    /**
     * Codes per side of the part of every picture that is shown, at a random place, the same in both pictures of a pair.
     * Steps have fewer tokens then, or more contexts. Defaults to the whole picture.
     */
    window: z.int().min(2).optional(),
    /** Number of steps with windows; after them, whole pictures are shown. Defaults to all. */
    windowSteps: z.int().min(1).optional(),
    /** Contexts of a step with windows, if other steps have whole pictures. Defaults to `contexts`. */
    windowContexts: z.int().min(1).optional(),
    /** Sizes of a new model. */
    model: z
      .strictObject({
        /** Side of the pictures in pixels. Defaults to that of the image tokenizer. */
        resolution: z.int().min(8).optional(),
        /** Defaults to 256. */
        hiddenSize: z.int().min(2).optional(),
        /** Defaults to 704. */
        intermediateSize: z.int().min(1).optional(),
        /** Defaults to 6. */
        layers: z.int().min(1).optional(),
        /** Defaults to 8. */
        heads: z.int().min(1).optional(),
        /**
         * Base of the rotary frequencies. Defaults to 10,000, as published. In sequences of a few hundred tokens, half of
         * these frequencies are nearly constant; a smaller base separates neighbouring positions better.
         */
        ropeTheta: z.number().gt(1).optional(),
        /** Divisor of the positions. Values below 1 move neighbouring positions further apart. Defaults to 1. */
        ropeFactor: z.number().positive().optional(),
        /** Start some attention heads of a new model at fixed distances: the same cell of the picture before, and the cell above. */
        alignedHeads: z.boolean().default(false),
        /** Let every layer mix in the first layer's values and the embeddings. */
        shortcuts: z.boolean().default(false),
        /** Compute the rows of image tokens by a shared linear map of code features, so that similar codes share learning. */
        sharedCodes: z.boolean().default(false),
        /** Bidirectional attention within the pictures of examples and queries. Generated pictures stay causal. */
        wholePictures: z.boolean().default(false),
      })
      .prefault({}),
    xprompt: z
      .strictObject({
        /**
         * S: number of XP tokens per example. Defaults to that of `init`, or to 16. A model that starts from `init` may
         * use another number, up to the XP tokens of its tokenizer.
         */
        tokens: z.int().min(1).optional(),
        /** Largest number of text tokens of an instruction or caption. Defaults to that of `init`, or to 16. */
        maxTextTokens: z.int().min(0).optional(),
        /** What TODO parts attend to in examples: their XP tokens or all tokens. Defaults to that of `init`, or to "xprompt". */
        mask: z.enum(exampleMasks).optional(),
        /** The sampling settings that the model recommends. Defaults to those of `init`, or to none. */
        sampling: recommendedSampling.optional(),
      })
      .prefault({}),
    loss: lossSettings.prefault({}),
    mix: mixSettings.prefault({}),
    data: z
      .strictObject({
        /**
         * Folder or s3:// URL of the contexts of this recipe in tokens, as `xprompt data tokenize` writes them: they are
         * read instead of being sampled.
         */
        tokenized: z.string().min(1).optional(),
      })
      .prefault({}),
    /**
     * Share of the steps after which weight averaging begins. From then on, the mean is measured and written instead of
     * the last weights. 1 disables averaging.
     */
    averageFrom: z.number().min(0).max(1).default(1),
    /**
     * Share of the weights of `init` in those that are measured and written at the last step, when all weights are trained
     * (https://arxiv.org/abs/2109.01903).
     */
    initialShare: z.number().min(0).max(1).default(0),
    /** Batches per kind of held-out contexts in an evaluation. */
    heldOutBatches: z.int().min(1).default(6),
  }),
);
export type TransformerRecipe = ReturnType<typeof transformerRecipe>;
