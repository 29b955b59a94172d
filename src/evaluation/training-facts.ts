/** @file Reads the training facts of a model: the optional field `training` of its `config.json`. */
import { join } from "node:path";
import { z } from "zod";
import { XPromptError } from "../errors.ts";
import { readJson } from "../runtime/files.ts";
import { meant } from "../spelling.ts";
import {
  heldOutTasks,
  knownFamilies,
  prototypes,
  selectFamilies,
  selectKnown,
  type TaskFamily,
} from "../tasks/index.ts";

const knownNames = knownFamilies.map(({ name }) => name);
const familyNames = z.array(
  z.enum(knownNames, {
    error: ({ input }) =>
      `expected a known family, got ${JSON.stringify(input)}${meant(String(input), knownNames)}`,
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
  /** Trained families of scenes; the two directions of a family are separate entries. Combined ones are made of trained ones. */
  readonly families: readonly TaskFamily[];
  /** Names of all trained families, also of those of gathered pictures. Models made by earlier versions name none of these. */
  readonly names: readonly string[];
  /** Prototype tasks whose families were all held out. */
  readonly heldOutPrototypes: readonly (typeof prototypes)[number][];
}

/**
 * Reads the facts. Without them, the model is assumed to have seen all families except those of the paper's unseen tasks.
 * @throws XPromptError when the config names an unknown family
 */
export async function readTrainingFacts(folder: string): Promise<TrainingFacts> {
  const { training = {} } = await readJson(join(folder, "config.json"), schema, "model config");
  const { families: include, held_out: heldOut = Object.values(heldOutTasks).flat() } = training;
  const heldOutPrototypes = training.held_out_prototypes ?? [];
  const whole = knownFamilies.filter(({ prototype }) => heldOutPrototypes.includes(prototype));
  const selection = { include, exclude: [...heldOut, ...whole.map(({ name }) => name)] };
  const names = selectKnown(selection).map(({ name }) => name);
  return { families: selectFamilies(selection), names, heldOutPrototypes };
}

/**
 * The families that a suite of trained tasks measures.
 * @throws XPromptError for a model that was trained on none, such as on pairs alone
 */
export function trainedFamilies(suite: string, { families }: TrainingFacts): readonly TaskFamily[] {
  if (families.length > 0) return families;
  throw new XPromptError(
    `eval ${suite}: expected a model trained on task families, got one without (choose another suite)`,
  );
}

/** Whether the model was trained on the family of that name. */
export const hasSeen = ({ names }: TrainingFacts, name: string): boolean => names.includes(name);
