/** @file Settings of a run that trains an image tokenizer and a text tokenizer. */
import { z } from "zod";
import { worldSettings } from "../../tasks/index.ts";
import { recipeKind } from "../recipe.ts";
import { runSettings } from "../run/task.ts";

export const tokenizerRecipe = recipeKind(
  "tokenizer",
  z.strictObject({
    ...runSettings,
    ...worldSettings,
    /** Name or folder of the model whose tokenizers training continues. Without it, weights are initialized at random. */
    init: z.string().optional(),
    /**
     * Which part to train: all; encoder and decoder with a frozen codebook ("codec"); or the decoder alone ("decoder").
     * The last two suit tokenizers whose codes a transformer has learned already.
     */
    train: z.enum(["all", "codec", "decoder"]).default("all"),
    /** Pictures per step. */
    batch: z.int().min(2).default(16),
    /** Share of the pictures that are collages of two others. Their common regions should get equal codes. */
    collages: z.number().min(0).max(0.75).default(0),
    /** Sizes of new tokenizers. `encoderTile` applies to continued ones, too. */
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
        /** Side in pixels of tiles that are encoded separately. Defaults to that of `init`, or to the whole picture. */
        encoderTile: z.int().min(1).optional(),
        /** Use a k-means codebook of raw patches and a residual decoder, without a trained encoder. */
        patches: z.boolean().default(false),
      })
      .prefault({}),
    loss: z
      .strictObject({
        /** Weights of the mean absolute and mean squared error of pixels in [−1, 1]. */
        absolute: z.number().min(0).default(0.5),
        squared: z.number().min(0).default(1),
        /** Weight of the absolute error of differences between neighbouring pixels, which keeps edges sharp. */
        edges: z.number().min(0).default(0.25),
        /** Weight of the commitment loss, which pulls the encoder towards its codes. The codebook loss has weight 1. */
        commitment: z.number().min(0).default(0.25),
        /** Weight of the squared distance between the encoder's vectors of matching cells. */
        constancy: z.number().min(0).default(0),
      })
      .prefault({}),
    /** The text tokenizer, trained on the texts of the tasks. */
    text: z
      .strictObject({
        /** Largest number of tokens beyond the 256 bytes. */
        merges: z.int().min(0).default(768),
        /** XP tokens in the vocabulary: the maximum for models with this tokenizer. */
        xpTokens: z.int().min(1).default(64),
        /** Number of tasks whose texts are used. */
        tasks: z.int().min(1).default(1000),
      })
      .prefault({}),
    /** The codebook of patches (`model.patches`). */
    kMeans: z
      .strictObject({
        /** Number of training pictures. */
        pictures: z.int().min(1).default(4096),
        iterations: z.int().min(1).default(12),
      })
      .prefault({}),
    /** Steps between dead-code restarts, which move codes unused since the last restart to vectors of the encoder. */
    restartEvery: z.int().min(1).default(50),
    /** Share of all steps after which there are no restarts. */
    restartUntil: z.number().min(0).max(1).default(0.75),
  }),
);
export type TokenizerRecipe = ReturnType<typeof tokenizerRecipe>;
