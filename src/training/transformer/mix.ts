/** @file Settings of the mix of training contexts. */
import { z } from "zod";
import { librarySettings, type NeighbourLibrary } from "../../retrieval/index.ts";
import { type PairsSettings, pairsSettings } from "../../tasks/datasets/index.ts";
import { knownFamilies, prototypes, worldSettings } from "../../tasks/index.ts";

const share = z.number().min(0).max(1);
/** Relative frequencies of the counts 1, 2, 3, … */
const counts = z
  .array(z.number().min(0))
  .min(1)
  .refine((often) => often.some((each) => each > 0), "expected one of them above 0, got zeros alone");
const familyNames = z.array(z.enum(knownFamilies.map((family) => family.name) as [string, ...string[]]));

export const mixSettings = z.strictObject({
  ...worldSettings,
  /**
   * Folders or files of pairs to train on, or their settings (docs/datasets.md); or example libraries, which show each
   * pair with its nearest neighbour as example (docs/examples.md). All are sampled equally often.
   */
  pairs: z.array(z.union([z.string().min(1), pairsSettings, librarySettings])).default([]),
  /** Share of contexts from `pairs`, if there are any. The others come from families. */
  pairsShare: share.default(0.5),
  /** Whether a run without `pairs` is refused. Defaults to false. */
  pairsRequired: z.boolean().optional(),
  /** Share of the pairs that is held out for evaluation. */
  pairsHeldOut: z.number().min(0).max(0.9).default(0.1),
  /** Share of the contexts from `pairs` that are reversed: after → before. */
  pairsReversed: share.default(0),
  /** Families to train on; all when empty. */
  families: familyNames.default([]),
  /** Families that are never trained on. */
  heldOut: familyNames.default([]),
  /** Prototype tasks whose families are never trained on. */
  heldOutPrototypes: z.array(z.enum(prototypes)).default([]),
  /** Relative sampling frequency of a family, by name. Defaults to 1. */
  weights: z.record(z.string(), z.number().min(0)).default({}),
  /** Relative frequencies of contexts with 1, 2, 3, … examples. */
  exampleCounts: counts.default([1]),
  /** Share of batches whose TODO parts describe the example's change in words. */
  describe: share.default(0.1),
  /** Share of the other batches that ask for a picture of a caption, with the empty example. */
  textToImage: share.default(0.05),
  /** Share of these TODO parts that ask for the caption of a picture instead. */
  imageToText: share.default(0.3),
  /** Share of captioned scenes that have a plain background, where the words determine more of the codes. */
  plainScenes: share.default(0.4),
  /** Relative frequencies of plain scenes with 1, 2, 3, 4 objects. Defaults to those of other scenes. */
  plainCounts: counts.max(4).optional(),
  /** Share of the other contexts whose examples are empty, so that only the instruction determines the task. */
  withoutExample: share.default(0.1),
  /** Share of TODO parts with an empty example that have an instruction. Defaults to 0.9. */
  instructionWithoutExample: share.optional(),
  /** Share of examples that have an instruction. */
  exampleInstruction: share.default(0.25),
  /** Share of TODO parts with examples that have an instruction. */
  todoInstruction: share.default(0.5),
  /** Token noise: share of a target's input codes that are replaced by other codes of the same picture. */
  tokenNoise: share.default(0),
  /**
   * Token dropout: share of targets in which a random share of the input codes is masked. The model then has to rely on
   * the words, the query and the examples.
   */
  tokenDropout: share.default(0),
  /**
   * Share of targets of changes in which all input codes are masked. The first codes of a
   * target reveal the change; only where they are masked must the model learn it from the examples.
   */
  targetDropout: share.default(0),
  /** Token dropout for batches of captions. Defaults to `tokenDropout`. */
  captionDropout: share.optional(),
  /**
   * Scheduled sampling: share of batches of changes in which a random share of each target's input codes is replaced by
   * the model's own samples, as in generation. Use it late in training. Such a step takes a third longer.
   */
  scheduledSampling: share.default(0),
  /** Share of the steps after which `scheduledSampling` begins. */
  scheduledSamplingFrom: share.default(0),
});

/** The mix with its libraries prepared. */
export type Mix = Omit<z.output<typeof mixSettings>, "pairs"> & {
  readonly pairs: readonly (string | PairsSettings | NeighbourLibrary)[];
};

/** The families that a mix names; undefined for all. */
export const included = ({ families }: Pick<Mix, "families">): Mix["families"] | undefined =>
  families.length > 0 ? families : undefined;
