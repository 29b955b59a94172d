/**
 * @file Figures of models that are compared with a model but do not come with it. They lie in the model's folder, a file
 * for each suite, with how they were made.
 */
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { readJson, writeFileAtomic } from "../runtime/files.ts";
import { recommendedSampling } from "../xprompt/request.ts";
import type { SuiteContext } from "./suite.ts";

/** A 95% interval, as it is stored. */
export const storedInterval = z.tuple([z.number(), z.number()]).readonly();

/** How figures were made. */
const provenanceSchema = z.object({
  fingerprint: z.string(),
  recipe: z.string().nullable(),
  command: z.string(),
  seed: z.int(),
  settings: recommendedSampling,
});
type Provenance = z.output<typeof provenanceSchema>;

export type Stored<F> = Provenance & F;

/** The stored figures of one suite, by the name of the model that was compared with. */
export class Comparison<F extends object> {
  private readonly schema;

  /** @param figures what the suite stores of a model, beside how it was made */
  constructor(
    private readonly suite: string,
    figures: z.ZodType<F>,
  ) {
    this.schema = z.record(z.string(), provenanceSchema.and(figures));
  }

  /** What is stored for a model; nothing where there is no file. @throws XPromptError for a broken one */
  async read(modelFolder: string): Promise<Readonly<Partial<Record<string, Stored<F>>>>> {
    const path = this.path(modelFolder);
    return existsSync(path) ? readJson(path, this.schema, "comparison figures") : {};
  }

  /**
   * Puts figures of the measured model beside `options.beside`; those of others stay.
   * @returns them with how they were made, and where they are
   */
  async store(
    name: string,
    figures: F,
    { model, drawings, options, command, seed }: SuiteContext,
  ): Promise<Stored<F> & { readonly as: string; readonly wrote: string }> {
    const { beside, recipe } = options;
    const { fingerprint } = model;
    const settings = { ...drawings.settings };
    const stored = { fingerprint, recipe: recipe ?? null, command, seed, settings, ...figures };
    const path = this.path(beside!);
    const merged = { ...(await this.read(beside!)), [name]: stored };
    await mkdir(dirname(path), { recursive: true });
    await writeFileAtomic(path, `${JSON.stringify(merged, null, 2)}\n`);
    return { as: name, wrote: path, ...stored };
  }

  private path(modelFolder: string): string {
    return join(modelFolder, "evaluation", `${this.suite}-comparison.json`);
  }
}
