/** @file The mix of contexts that a transformer is trained on. */
import { z } from "zod";
import { librarySettings, type NeighbourLibrary } from "../../retrieval/index.ts";
import { type PairsSettings, pairsSettings } from "../../tasks/datasets/index.ts";
import { knownFamilies, prototypes, worldSettings } from "../../tasks/index.ts";

const share = z.number().min(0).max(1);
/** How often there are 1, 2, 3, … of something. */
const counts = z
  .array(z.number().min(0))
  .min(1)
  .refine((often) => often.some((each) => each > 0), "expected one of them above 0, got zeros alone");
const familyNames = z.array(z.enum(knownFamilies.map((family) => family.name) as [string, ...string[]]));

export const mixSettings = z.strictObject({
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
  /** Share of batches whose TODO parts say in words what their context's example changes. */
  describe: share.default(0.1),
  /** Share of the other batches whose TODO parts are scenes of their captions, with the empty example. */
  textToImage: share.default(0.05),
  /** Share of those TODO parts that go the other way, from picture to caption. */
  imageToText: share.default(0.3),
  /** Share of captioned scenes before a plain background in any case: words say more about each code there. */
  plainScenes: share.default(0.4),
  /** How often these have 1, 2, 3, 4 objects. Defaults to the numbers of other scenes. */
  plainCounts: counts.max(4).optional(),
  /** Share of the other contexts whose examples are left out: then the instruction alone says what to do. */
  withoutExample: share.default(0.1),
  /** Share of TODO parts with the empty example that come with their instruction. Defaults to 0.9. */
  instructionWithoutExample: share.optional(),
  /** Share of examples that come with their instruction. */
  exampleInstruction: share.default(0.25),
  /** Share of TODO parts with examples that come with their instruction. */
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
});

/** The mix with its libraries prepared. */
export type Mix = Omit<z.output<typeof mixSettings>, "pairs"> & {
  readonly pairs: readonly (string | PairsSettings | NeighbourLibrary)[];
};
