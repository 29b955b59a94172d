/** @file The settings of a transformer run. */
import { z } from "zod";
import { loraTargets } from "../../chameleon/model/lora.ts";
import { recommendedSampling } from "../../xprompt/request.ts";
import { exampleMasks } from "../../xprompt/sequence.ts";
import { recipeKind } from "../recipe.ts";
import { runSettings } from "../run/run.ts";
import { mixSettings } from "./mix.ts";

/** Weights of the next-token loss. */
const lossSettings = z.strictObject({
  target: z.number().min(0).default(1),
  /** Answers in words. */
  words: z.number().min(0).default(1),
  query: z.number().min(0).default(0.1),
  instruction: z.number().min(0).default(0.1),
  /** Weight of the squared logarithm of the softmax's denominator (https://arxiv.org/abs/2204.02311). */
  zLoss: z.number().min(0).default(1e-5),
});
/** Weights of the next-token loss by what is predicted. */
export type RegionWeights = Omit<z.output<typeof lossSettings>, "zLoss">;

export const transformerRecipe = recipeKind(
  "transformer",
  z.strictObject({
    ...runSettings,
    /** Model name or folder to start from, which has its tokenizers and sizes; weights are drawn at random without. */
    init: z.string().optional(),
    /**
     * What is trained: all weights; or, of a model whose weights stay as they are, the embeddings of its XP tokens
     * ("xp"), or these and low-rank adapters ("lora").
     */
    train: z.enum(["all", "xp", "lora"]).default("all"),
    /** Where `train` is "lora". */
    lora: z
      .strictObject({
        rank: z.int().min(1).default(8),
        /** An adapter counts `alpha / rank` times. */
        alpha: z.number().positive().default(16),
        targets: z
          .array(z.enum(loraTargets))
          .min(1)
          .default([...loraTargets]),
        /** Also train the head's rows of image tokens, as Anole did to bring image generation back. */
        imageHead: z.boolean().default(false),
      })
      .prefault({}),
    /** Write a whole model where an adapter was trained, with the adapter in its weights. */
    merge: z.boolean().default(false),
    /** Model name or folder whose image and text tokenizers are used. Defaults to nano, or to `init`. */
    tokenizers: z.string().optional(),
    /** Contexts a step. */
    contexts: z.int().min(1).default(4),
    /** TODO parts that share the examples of a context. */
    todos: z.int().min(1).default(3),
    /** Sizes of a model that starts from nothing. */
    model: z
      .strictObject({
        /** Side of the pictures in pixels, if not what the image tokenizer was trained on. */
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
         * Base of the rotary angles, 10,000 by default, as published. Of a sequence of some hundred tokens, half the
         * angles hardly turn then. A smaller base tells near places apart better.
         */
        ropeTheta: z.number().gt(1).optional(),
        /** Positions are divided by it: below 1 neighbours are further apart, and easier to tell apart. Defaults to 1. */
        ropeFactor: z.number().positive().optional(),
        /** Layers mix in the first layer's values and the embeddings. */
        shortcuts: z.boolean().default(false),
        /** Rows of image tokens share a linear map of their codes' features: what is learned of one holds for its like. */
        sharedCodes: z.boolean().default(false),
        /** Pictures of examples and queries are seen both ways; what is generated stays causal. */
        wholePictures: z.boolean().default(false),
      })
      .prefault({}),
    xprompt: z
      .strictObject({
        /**
         * S: tokens that an example is compressed to. Defaults to 16, or to what `init` has; so do the others. A model
         * that is trained on may come to have others, up to the XP tokens that its tokenizer names.
         */
        tokens: z.int().min(1).optional(),
        /** Most text tokens of an instruction or caption. Defaults to 16. */
        maxTextTokens: z.int().min(0).optional(),
        /** What TODO parts see of examples: their XP blocks, or all of them. Defaults to "xprompt". */
        mask: z.enum(exampleMasks).optional(),
        /** What the model recommends to be drawn with. Defaults to nothing, or to what `init` has. */
        sampling: recommendedSampling.optional(),
      })
      .prefault({}),
    loss: lossSettings.prefault({}),
    mix: mixSettings.prefault({}),
    data: z
      .strictObject({
        /**
         * Folder or s3:// URL of the contexts of this recipe in tokens, as `xprompt data tokenize` writes them: they are
         * read instead of being drawn.
         */
        tokenized: z.string().min(1).optional(),
      })
      .prefault({}),
    /**
     * Share of the steps after which the mean of the weights begins, which is then measured and written instead of the
     * last weights; 1 for none.
     */
    averageFrom: z.number().min(0).max(1).default(1),
    /** Batches of held-out contexts that an evaluation looks at. */
    heldOutBatches: z.int().min(1).default(6),
  }),
);
export type TransformerRecipe = ReturnType<typeof transformerRecipe>;
