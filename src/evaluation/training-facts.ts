/** @file What a model says about its training, in the optional field `training` of its `config.json`. */
import { join } from "node:path";
import { z } from "zod";
import { readJson } from "../runtime/files.ts";
import { closest } from "../spelling.ts";
import { heldOutTasks, knownFamilies, prototypes, selectFamilies } from "../tasks/index.ts";

const knownNames = knownFamilies.map(({ name }) => name);
const familyNames = z.array(
  z.enum(knownNames, {
    error: ({ input }) =>
      `expected a known family, got ${JSON.stringify(input)} (did you mean "${closest(String(input), knownNames)}"?)`,
  }),
);

const schema = z.looseObject({
  training: z
    .looseObject({
      families: familyNames.optional(),
      held_out: familyNames.optional(),
      held_out_prototypes: z.array(z.enum(prototypes)).optional(),
    })
    .optional(),
});

export interface TrainingFacts {
  /** Families that training showed, each direction on its own. */
  readonly families: readonly string[];
  /** Prototype tasks of which training showed no family at all. */
  readonly heldOutPrototypes: readonly (typeof prototypes)[number][];
}

/**
 * The facts; a model that says nothing is taken to have seen every family but those of the paper's unseen tasks.
 * @throws XPromptError for a configuration that names a family that there is none of
 */
export async function readTrainingFacts(folder: string): Promise<TrainingFacts> {
  const { training = {} } = await readJson(join(folder, "config.json"), schema, "model config");
  const { families: shown = [], held_out: heldOut = Object.values(heldOutTasks).flat() } = training;
  const heldOutPrototypes = training.held_out_prototypes ?? [];
  const include = shown.length > 0 ? shown : undefined;
  const seen = selectFamilies({ include, exclude: heldOut });
  return {
    families: seen.filter(({ prototype }) => !heldOutPrototypes.includes(prototype)).map(({ name }) => name),
    heldOutPrototypes,
  };
}
