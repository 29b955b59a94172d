/** @file The settings of a transformer run. */
import { z } from "zod";
import { loraTargets } from "../../chameleon/model/lora.ts";
import { librarySettings } from "../../retrieval/index.ts";
import { pairsSettings } from "../../tasks/datasets/index.ts";
import { knownFamilies, prototypes } from "../../tasks/index.ts";
import { recommendedSampling } from "../../xprompt/request.ts";
import { exampleMasks } from "../../xprompt/sequence.ts";
import { recipeKind } from "../recipe.ts";
import { runSettings } from "../run/run.ts";
import { worldSettings } from "../worlds.ts";

const share = z.number().min(0).max(1);
/** How often there are 1, 2, 3, … of something. */
const counts = z
  .array(z.number().min(0))
  .min(1)
  .refine((often) => often.some((each) => each > 0), "expected one of them above 0, got zeros alone");
const familyNames = z.array(z.enum(knownFamilies.map((family) => family.name) as [string, ...string[]]));

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
         * Base of the rotary angles, 10,000 as published unless told: of a sequence of some hundred tokens, half the
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
    loss: z
      .strictObject({
        target: z.number().min(0).default(1),
        words: z.number().min(0).default(1),
        query: z.number().min(0).default(0.1),
        instruction: z.number().min(0).default(0.1),
        zLoss: z.number().min(0).default(1e-5),
      })
      .prefault({}),
    mix: z
      .strictObject({
        ...worldSettings,
        /**
         * Folders or files of pairs to train on, or their settings (docs/datasets.md), equally often each; or example
         * libraries, each of whose pairs is shown with its nearest neighbour (docs/examples.md).
         */
        pairs: z.array(z.union([z.string().min(1), pairsSettings, librarySettings])).default([]),
        /** Share of contexts that are drawn from `pairs`, where there are any; the others are of families. */
        pairsShare: share.default(0.5),
        /** Whether a run without `pairs` is refused. Defaults to false. */
        pairsRequired: z.boolean().optional(),
        /** Share of the pairs that is kept out of training, to measure on. */
        pairsHeldOut: z.number().min(0).max(0.9).default(0.1),
        /** Share of the contexts of pairs that are asked for backwards. */
        pairsReversed: share.default(0),
        /** Families to train on; all when empty. */
        families: familyNames.default([]),
        /** Families never shown in training. */
        heldOut: familyNames.default([]),
        /** Prototype tasks of which training shows no family at all. */
        heldOutPrototypes: z.array(z.enum(prototypes)).default([]),
        /** How often a family is drawn, by name; 1 for those that are not named. */
        weights: z.record(z.string(), z.number().min(0)).default({}),
        /** How often a context has 1, 2, 3, … examples. */
        exampleCounts: counts.default([1]),
        describe: share.default(0.1),
        textToImage: share.default(0.05),
        imageToText: share.default(0.3),
        /** Share of captioned scenes before a plain background in any case: words say more about each code there. */
        plainScenes: share.default(0.4),
        /** How often these have 1, 2, 3, 4 objects; unless told, as other scenes do. */
        plainCounts: counts.max(4).optional(),
        withoutExample: share.default(0.1),
        /** Share of TODO parts with the empty example that come with their instruction. Defaults to 0.9. */
        instructionWithoutExample: share.optional(),
        exampleInstruction: share.default(0.25),
        todoInstruction: share.default(0.5),
        /** Share of a target's codes that are read as others of its picture while the next ones are predicted. */
        misread: share.default(0),
        /** Share of targets of which a random share of the codes is hidden: the words, the query and the examples have to say what comes next. */
        codeDropout: share.default(0),
        /** The same of scenes of their captions, where it is to be another share. */
        captionDropout: share.optional(),
        /**
         * Share of batches of changes that are read as the model itself draws them, a random share of each target's
         * codes, while the next ones are predicted: drawing goes along what was drawn. It is for a model that draws
         * already; such a step takes a third longer.
         */
        ownCodes: share.default(0),
        /** Share of the steps after which `ownCodes` begins. */
        ownCodesFrom: share.default(0),
      })
      .prefault({}),
    /**
     * Share of the steps after which the mean of the weights begins, which is then measured and written instead of the
     * last weights; 1 for none.
     */
    averageFrom: share.default(1),
    /** Batches of held-out contexts that an evaluation looks at. */
    heldOutBatches: z.int().min(1).default(6),
  }),
);
export type TransformerRecipe = ReturnType<typeof transformerRecipe>;
