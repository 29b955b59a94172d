/** @file Runs a suite: loads the model and writes the results. */
import { existsSync } from "node:fs";
import { rmdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { XPromptError } from "../errors.ts";
import { encodePng } from "../image/index.ts";
import { makeFolder, readJson, writeFileAtomic, writeJson } from "../runtime/files.ts";
import { workWith } from "../runtime/resources.ts";
import { type LoadOptions, XPrompt } from "../xprompt/model.ts";
import { resolveModel } from "../xprompt/models.ts";
import { fingerprintIn } from "./comparison.ts";
import { Generations, type SamplingSettings } from "./generations.ts";
import { rehearse, type Spread } from "./rehearsal.ts";
import { renderHtml, type Section, sheetImage } from "./report.ts";
import type { Suite, SuiteContext } from "./suite.ts";
import { readTrainingFacts } from "./training-facts.ts";

const RESULTS = "results.json";

export interface EvaluationOptions extends Pick<SuiteContext, "seed" | "options" | "command"> {
  /** Name or folder of the model. */
  readonly model: string;
  /** Samples per task. Defaults to the number of the suite. */
  readonly limit?: number;
  /** Sampling settings that differ from the model's recommendation. */
  readonly settings?: SamplingSettings;
  /** Folder for pictures and results. Defaults to none: nothing is written. */
  readonly out?: string;
  /** The adapter and the device. */
  readonly load?: LoadOptions;
  /** Has other processes compute the model's answers. Defaults to this process. */
  readonly spread?: (model: XPrompt) => Spread;
  readonly signal?: AbortSignal;
  /** Shows no progress on standard error. Defaults to false. */
  readonly quiet?: boolean;
}

export interface Evaluation {
  /** The content of results.json. */
  readonly result: Readonly<Record<string, unknown>>;
  /** The main figures in two to six lines. */
  readonly summary: readonly string[];
}

/**
 * Runs a suite and writes `results.json`, `report.html` and `sheets/` to the folder, if one is given. An interrupted
 * evaluation resumes after the last generated picture.
 */
export async function evaluate(suite: Suite, options: EvaluationOptions): Promise<Evaluation> {
  const { out, seed, signal, command, quiet } = options;
  const folder = await resolveModel(options.model);
  const training = await readTrainingFacts(folder);
  const { beside } = options.options;
  if (beside !== undefined) {
    await readTrainingFacts(beside);
    await fingerprintIn(beside);
  }
  if (out !== undefined) await checkPlace(out, suite.name);
  return workWith(async (resources) => {
    const model = resources.own(await XPrompt.load(options.model, options.load));
    if (out !== undefined) {
      // A suite that fails before its first picture leaves no folder behind.
      if (!existsSync(out)) resources.defer(() => rmdir(out).catch(() => undefined));
      await makeFolder(out, `evaluating into ${out}`);
    }
    const limit = options.limit ?? suite.limit;
    const adapter = options.load?.adapter;
    const shared = { folder, training, adapter, limit, seed, signal, command, quiet };
    const context = { ...shared, options: options.options };
    const kept = { suite: suite.name, seed, out, signal, quiet };
    const settings = options.settings ?? {};
    const spread = options.spread?.(model);
    if (spread) {
      const rehearsal = rehearse(suite, spread, { ...context, settings, kept });
      resources.defer(() => rehearsal);
      resources.defer(() => spread.stop());
    }
    const used = spread?.model ?? model;
    const generations = new Generations(used, settings, kept);
    resources.defer(async () => generations.stop());
    const { figures, report, summary } = await suite.run({ ...context, model: used, generations });
    generations.stop();
    const { fingerprint } = model;
    const result = {
      suite: suite.name,
      ...figures,
      model: options.model,
      adapter,
      fingerprint,
      seed,
      limit,
      settings: generations.settings,
      command,
    };
    if (out !== undefined) await write(out, suite, result, report);
    return { result, summary };
  });
}

/** @throws XPromptError when `out` is a file, or holds the results of another suite */
async function checkPlace(out: string, suite: string): Promise<void> {
  if (!existsSync(out)) return;
  if (!(await stat(out)).isDirectory())
    throw new XPromptError(
      `evaluating into ${out}: expected a folder or nothing, got a file (choose another)`,
    );
  const path = join(out, RESULTS);
  if (!existsSync(path)) return;
  const { suite: other } = await readJson(path, z.looseObject({ suite: z.string() }), "results");
  if (other !== suite)
    throw new XPromptError(
      `evaluating into ${out}: expected a folder of suite ${suite}, got results of ${other} (choose another)`,
    );
}

async function write(
  out: string,
  suite: Suite,
  result: Readonly<Record<string, unknown>>,
  sections: readonly Section[],
): Promise<void> {
  await makeFolder(join(out, "sheets"));
  for (const section of sections) {
    const sheet = sheetImage(section);
    if (sheet)
      await writeFileAtomic(join(out, "sheets", `${fileName(section.title)}.png`), await encodePng(sheet));
  }
  const { model, adapter, fingerprint, seed, settings, command } = result;
  const adapted = adapter === undefined ? "" : ` with adapter ${adapter} (its training tasks are not known)`;
  const intro = `${suite.description}. Model ${model} (${fingerprint})${adapted}, seed ${seed}, sampled with ${JSON.stringify(settings)}. To repeat it: ${command}`;
  await writeFileAtomic(
    join(out, "report.html"),
    await renderHtml(`xprompt eval ${suite.name}`, intro, sections),
  );
  await writeJson(join(out, RESULTS), result);
}

const fileName = (title: string): string => title.replace(/[^\w-]+/g, "-");
