/**
 * @file Stored figures of comparison models, which are not shipped themselves. They are kept in the folder of the model
 * that is compared with them: one file per suite, with the provenance of the figures.
 */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import { makeFolder, readJson, writeFileAtomic } from "../runtime/files.ts";
import { recommendedSampling } from "../xprompt/request.ts";
import type { SuiteContext } from "./suite.ts";

/** A stored 95% interval. */
export const storedInterval = z.tuple([z.number(), z.number()]).readonly();

/** How the figures were made. */
const provenanceSchema = z.object({
  fingerprint: z.string(),
  recipe: z.string().nullable(),
  command: z.string(),
  seed: z.int(),
  settings: recommendedSampling,
});
type Provenance = z.output<typeof provenanceSchema>;

export type Stored<F> = Provenance & F;

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
  async read(modelFolder: string): Promise<Readonly<Partial<Record<string, Stored<F>>>>> {
    const path = this.path(modelFolder);
    return existsSync(path) ? readJson(path, this.schema, "comparison figures") : {};
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
    const stored = { fingerprint, recipe: recipe ?? null, command, seed, settings, ...figures };
    const path = this.path(beside!);
    const merged = { ...(await this.read(beside!)), [name]: stored };
    await makeFolder(dirname(path));
    await writeFileAtomic(path, `${JSON.stringify(merged, null, 2)}\n`);
    return { as: name, wrote: path, ...stored };
  }

  private path(modelFolder: string): string {
    return join(modelFolder, "evaluation", `${this.suite}-comparison.json`);
  }
}
