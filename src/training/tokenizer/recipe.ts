/** @file The settings of a run that trains an image tokenizer and learns a text tokenizer. */
import { z } from "zod";
import { worldSettings } from "../../tasks/index.ts";
import { recipeKind } from "../recipe.ts";
import { runSettings } from "../run/run.ts";

export const tokenizerRecipe = recipeKind(
  "tokenizer",
  z.strictObject({
    ...runSettings,
    ...worldSettings,
    /** Model name or folder whose tokenizers to start from, which has its sizes; drawn at random without. */
    init: z.string().optional(),
    /**
     * What is trained: all of it; or, of tokenizers whose codes a transformer has learned, the networks around a
     * codebook that stays ("codec"), or the way back from codes to pictures alone ("decoder").
     */
    train: z.enum(["all", "codec", "decoder"]).default("all"),
    /** Pictures a step. */
    batch: z.int().min(2).default(16),
    /** Share of the pictures that are collages of two others: what stays the same in them is to get the same codes. */
    collages: z.number().min(0).max(0.75).default(0),
    /** Sizes of tokenizers that start from nothing; `encoderTile` of others, too. */
    model: z
      .strictObject({
        resolution: z.int().min(16).default(64),
        baseChannels: z.int().min(1).default(16),
        channelMultiplier: z.array(z.int().min(1)).min(1).default([1, 2, 4, 4]),
        residualBlocks: z.int().min(1).default(1),
        latentChannels: z.int().min(1).default(32),
        embedDim: z.int().min(1).default(16),
        codes: z.int().min(2).default(1024),
        normGroups: z.int().min(1).default(8),
        /** Side in pixels of the tiles that the encoder sees by themselves. Defaults to the whole picture, or to what `init` has. */
        encoderTile: z.int().min(1).optional(),
        /** Codes of raw patches, by k-means, and a residual decoder; there is no encoder to train then. */
        patches: z.boolean().default(false),
      })
      .prefault({}),
    loss: z
      .strictObject({
        /** Weights of the mean absolute and mean squared error, in units of [−1, 1]. */
        absolute: z.number().min(0).default(0.5),
        squared: z.number().min(0).default(1),
        /** Weight of the absolute error between neighbouring pixels' differences: keeps edges sharp. */
        edges: z.number().min(0).default(0.25),
        /** Pull of the encoder towards its codes; the codes' pull towards the encoder is 1. */
        commitment: z.number().min(0).default(0.25),
        /** Pull between the encoder's vectors of cells that look the same in two pictures. */
        constancy: z.number().min(0).default(0),
      })
      .prefault({}),
    /** The text tokenizer, learned from the words of the tasks. */
    text: z
      .strictObject({
        /** Tokens beyond the 256 bytes, at most. */
        merges: z.int().min(0).default(768),
        /** Rows of the vocabulary kept for XP: the most that a model with this tokenizer can use. */
        xpTokens: z.int().min(1).default(64),
        /** Tasks whose words are read. */
        tasks: z.int().min(1).default(1000),
      })
      .prefault({}),
    /** The codebook of patches. */
    kMeans: z
      .strictObject({
        /** Pictures whose cells it is made of. */
        pictures: z.int().min(1).default(4096),
        iterations: z.int().min(1).default(12),
      })
      .prefault({}),
    /** Steps between revivals: codes unused since the last one move to vectors of the encoder. */
    reviveEvery: z.int().min(1).default(50),
    /** Share of all steps after which nothing is revived any more. */
    reviveUntil: z.number().min(0).max(1).default(0.75),
  }),
);
export type TokenizerRecipe = ReturnType<typeof tokenizerRecipe>;
