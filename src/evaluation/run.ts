/** @file Running a suite: the model, the folder that work goes on in, and the files that tell the result. */
import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { encodePng } from "../image/index.ts";
import { attempt, sha256, writeFileAtomic } from "../runtime/files.ts";
import { type LoadOptions, XPrompt } from "../xprompt/model.ts";
import { resolveModel } from "../xprompt/models.ts";
import { Drawings, type DrawSettings, drawnWith } from "./drawings.ts";
import { renderHtml, type Section, sheetImage } from "./report.ts";
import type { Suite, SuiteContext } from "./suite.ts";
import { readTrainingFacts } from "./training-facts.ts";

export interface EvaluationOptions extends Pick<SuiteContext, "seed" | "options" | "command"> {
  /** Name or folder of the model. */
  readonly model: string;
  /** Samples of each task; the suite's own number unless told. */
  readonly limit?: number;
  /** What is to be drawn otherwise than the model recommends. */
  readonly settings?: DrawSettings;
  /** Where pictures are kept as they are drawn, and the results are written. Nowhere unless told. */
  readonly out?: string;
  /** The adapter, and where to compute. */
  readonly load?: LoadOptions;
  readonly signal?: AbortSignal;
}

/**
 * Runs a suite and writes `results.json`, `report.html` and `sheets/` to the folder, if there is one. Work that was cut
 * off goes on after the last picture that was drawn.
 * @returns what results.json holds
 */
export async function evaluate(suite: Suite, options: EvaluationOptions): Promise<Record<string, unknown>> {
  const { out, seed, signal, command } = options;
  const folder = await resolveModel(options.model);
  const training = await readTrainingFacts(folder);
  if (out !== undefined) await attempt(`evaluating into ${out}`, out, () => mkdir(out, { recursive: true }));
  const model = await XPrompt.load(options.model, options.load);
  const asked = options.settings ?? {};
  const settings = drawnWith(asked, model);
  const key = sha256(JSON.stringify([suite.name, model.fingerprint, settings, seed])).slice(0, 12);
  const drawings = new Drawings(model, asked, {
    folder: out && join(resolve(out), "drawings", key),
    label: suite.name,
    signal,
  });
  try {
    const limit = options.limit ?? suite.limit;
    const given = { options: options.options, signal, command };
    const { figures, report } = await suite.run({ model, folder, training, drawings, limit, seed, ...given });
    drawings.stop();
    const { fingerprint } = model;
    const result = {
      suite: suite.name,
      ...figures,
      model: options.model,
      adapter: options.load?.adapter,
      fingerprint,
      seed,
      limit,
      settings,
      command,
    };
    if (out !== undefined) await write(out, suite, result, report);
    return result;
  } finally {
    drawings.stop();
    await model.release();
  }
}

async function write(
  out: string,
  suite: Suite,
  result: Readonly<Record<string, unknown>>,
  sections: readonly Section[],
): Promise<void> {
  await mkdir(join(out, "sheets"), { recursive: true });
  for (const section of sections) {
    const sheet = sheetImage(section);
    if (sheet)
      await writeFileAtomic(join(out, "sheets", `${fileName(section.title)}.png`), await encodePng(sheet));
  }
  const { model, fingerprint, seed, settings } = result;
  const intro = `${suite.description}. Model ${model} (${fingerprint}), seed ${seed}, drawn with ${JSON.stringify(settings)}.`;
  await writeFileAtomic(
    join(out, "report.html"),
    await renderHtml(`xprompt eval ${suite.name}`, intro, sections),
  );
  await writeFileAtomic(join(out, "results.json"), `${JSON.stringify(result, null, 2)}\n`);
}

const fileName = (title: string): string => title.replace(/[^\w-]+/g, "-");
