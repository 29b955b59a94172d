/**
 * @file Stored figures of comparison models, which are not shipped themselves. They are kept in the folder of the model
 * that is compared with them: one file per suite, with the provenance of the figures.
 */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import { XPromptError } from "../errors.ts";
import { makeFolder, readJson, writeJson } from "../runtime/files.ts";
import { describeModel } from "../xprompt/describe-model.ts";
import { recommendedSampling } from "../xprompt/request.ts";
import type { SuiteContext } from "./suite.ts";

/** A stored 95% interval. */
export const storedInterval = z.tuple([z.number(), z.number()]).readonly();

/** How the figures were made. */
const provenanceSchema = z.object({
  fingerprint: z.string(),
  /** Fingerprint of the model that is compared with it; figures of earlier versions have none. */
  comparedWith: z.string().optional(),
  recipe: z.string().nullable(),
  command: z.string(),
  seed: z.int(),
  settings: recommendedSampling,
});
type Provenance = z.output<typeof provenanceSchema>;

export type Stored<F> = Provenance & F;
/** Whether stored figures belong to the model that is in the folder now, or to one that was there before. */
export interface Belonging {
  readonly sameModel: boolean;
}

/** The stored figures of one suite, by the name of the comparison model. */
export class Comparison<F extends object> {
  private readonly schema;

  /** @param figures schema of the suite's figures, without their provenance */
  constructor(
    private readonly suite: string,
    figures: z.ZodType<F>,
  ) {
    this.schema = z.record(z.string(), provenanceSchema.and(figures));
  }

  /** Reads the figures stored for a model; empty if there is no file. @throws XPromptError when the file is broken */
  async read(modelFolder: string): Promise<Readonly<Partial<Record<string, Stored<F> & Belonging>>>> {
    const stored = await this.stored(modelFolder);
    if (Object.keys(stored).length === 0) return {};
    const fingerprint = await fingerprintIn(modelFolder);
    return Object.fromEntries(
      Object.entries(stored).map(([name, figures]) => [
        name,
        { ...figures, sameModel: figures.comparedWith === fingerprint },
      ]),
    );
  }

  /**
   * Stores the figures of the measured model in the folder `options.beside`. Figures of other models stay.
   * @returns the figures with their provenance, and the path of the file
   */
  async store(
    name: string,
    figures: F,
    { model, generations, options, command, seed }: SuiteContext,
  ): Promise<Stored<F> & { readonly as: string; readonly wrote: string }> {
    const { beside, recipe } = options;
    const { fingerprint } = model;
    const settings = { ...generations.settings };
    const comparedWith = await fingerprintIn(beside!);
    const provenance = { fingerprint, comparedWith, recipe: recipe ?? null, command, seed, settings };
    const stored = { ...provenance, ...figures };
    const path = this.path(beside!);
    const merged = { ...(await this.stored(beside!)), [name]: stored };
    await makeFolder(dirname(path));
    await writeJson(path, merged);
    return { as: name, wrote: path, ...stored };
  }

  private async stored(modelFolder: string): Promise<Record<string, Stored<F>>> {
    const path = this.path(modelFolder);
    return existsSync(path) ? readJson(path, this.schema, "comparison figures") : {};
  }

  private path(modelFolder: string): string {
    return join(modelFolder, "evaluation", `${this.suite}-comparison.json`);
  }
}

/** The fingerprint of a model that others are compared with. @throws XPromptError for a model without X-Prompt */
export async function fingerprintIn(folder: string): Promise<string> {
  const { fingerprint } = await describeModel(folder);
  if (fingerprint !== undefined) return fingerprint;
  throw new XPromptError(
    `comparing with ${folder}: expected a model with X-Prompt, got a plain one (choose another)`,
  );
}
