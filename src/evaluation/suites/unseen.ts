/**
 * @file The paper's table of unseen tasks, on our scenes: five tasks that were not trained on. How much of the benefit of
 * training does one example give? All conditions use the same scenes.
 */
import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import { familyNamed, heldOutTasks, selectFamilies, type TaskFamily } from "../../tasks/index.ts";
import type { RecommendedSampling } from "../../xprompt/request.ts";
import { baselines } from "../baselines/index.ts";
import { type Belonging, Comparison, type Stored, storedInterval } from "../comparison.ts";
import { type Compared, type Condition, colourFitOf, compareConditions } from "../conditions.ts";
import { plain, withInterval } from "../lines.ts";
import type { Estimate } from "../metrics/bootstrap.ts";
import type { Cell, Section } from "../report.ts";
import { type Metric, metricNames } from "../scores.ts";
import type { Suite, SuiteContext, SuiteOutcome } from "../suite.ts";
import { difference, estimateOf, gapClosure, meansOf, shareBetter, syntheticValues } from "../summary.ts";
import { hasSeen } from "../training-facts.ts";

interface UnseenTask {
  readonly family: keyof typeof heldOutTasks;
  /** The metric of the gap closure. */
  readonly metric: Metric;
}

/** "full" was trained on the tasks; "causal" has the plain causal mask. */
const comparisonModels = ["full", "causal"] as const;

const figuresSchema = z.object({
  n: z.int().min(1),
  /** Means by metric. */
  means: z.record(z.string(), z.number()),
  /** 95% intervals by metric. */
  ci: z.record(z.string(), storedInterval),
  /** One value per sample, by metric; figures of earlier versions have none. */
  values: z.record(z.string(), z.array(z.number())).optional(),
});
const storedSchema = z.object({ tasks: z.record(z.string(), figuresSchema) });
type StoredTasks = z.output<typeof storedSchema>;
type StoredModels = Readonly<Partial<Record<string, Stored<StoredTasks> & Belonging>>>;

const comparison = new Comparison("unseen", storedSchema);

/** The names are the paper's columns. */
const tasks = {
  derain: { family: "derain", metric: "psnr" },
  lowLight: { family: "lowLightEnhancement", metric: "psnr" },
  addObject: { family: "addObject", metric: "success" },
  removeObject: { family: "removeObject", metric: "success" },
  depthPalette: { family: "depthUnseenPalette", metric: "rmse" },
} as const satisfies Readonly<Record<string, UnseenTask>>;

const conditions = {
  xprompt: { examples: 1, instruction: false },
  wordsAlone: { examples: 0, instruction: true },
  queryAlone: { examples: 0, instruction: false },
  xpromptWithInstruction: { examples: 1, instruction: true },
  wrongExample: { examples: "wrong", instruction: false },
  twoExamples: { examples: 2, instruction: false },
  fourExamples: { examples: 4, instruction: false },
  eightExamples: { examples: 8, instruction: false },
} as const satisfies Readonly<Record<string, Condition>>;

/** The only condition of comparison models. */
const comparedConditions = { xprompt: conditions.xprompt };

const exampleCounts = { 1: "xprompt", 2: "twoExamples", 4: "fourExamples", 8: "eightExamples" } as const;

export const unseen: Suite = {
  name: "unseen",
  description: "the paper's five unseen tasks with one example, and the gap that an example closes",
  limit: 32,
  comparisons: comparisonModels,
  run: (context) => (context.options.as ? measureComparison(context) : measure(context)),
};

async function measure(context: SuiteContext): Promise<SuiteOutcome> {
  const { generations, limit, folder, training, adapter } = context;
  const stored = await comparison.read(folder);
  const prototypes = training.heldOutPrototypes;
  const groups = Object.keys(tasks).length + prototypes.length;
  generations.expect(groups * limit * Object.keys(conditions).length);
  const seenOtherwise = adapter === undefined ? false : null;
  const comparedWith = comparisonOf(stored, context);
  const sameSamples = comparedWith.full?.sameSamples ?? false;
  const figures: Record<string, Figures> = {};
  const sections: Section[] = [];
  for (const [name, { family, metric }] of Object.entries(tasks)) {
    const compared = await compareConditions(name, [familyNamed(family)], conditions, context);
    const seen = heldOutTasks[family].some((each) => hasSeen(training, each)) || seenOtherwise;
    const task = { name, metric, seen };
    figures[name] = figuresOf(task, compared, stored, context, sameSamples);
    sections.push({ title: name, sheet: compared.sheet });
  }
  const ofPrototypes: Record<string, Figures> = {};
  for (const prototype of prototypes) {
    const compared = await compareConditions(prototype, familiesOf(prototype), conditions, context);
    const task = { name: prototype, metric: "psnr", seen: seenOtherwise } as const;
    ofPrototypes[prototype] = figuresOf(task, compared, stored, context, sameSamples);
    sections.push({ title: `${prototype}, all families held out`, sheet: compared.sheet });
  }
  const rows = { ...figures, ...ofPrototypes };
  const ofOthers = Object.entries(comparedWith)
    .map(([name, known]) =>
      [
        known && !known.sameSamples ? ` ${name} was measured on other samples or with other settings.` : "",
        known && !known.sameModel ? ` ${name} was made for an earlier version of this model.` : "",
      ].join(""),
    )
    .join("");
  return {
    figures: { tasks: figures, prototypes: ofPrototypes, comparison: comparedWith },
    report: [
      {
        title: "Unseen tasks",
        text: explanation + seenNote(rows) + boundNote(rows) + ofOthers,
        table: tableOf(rows),
      },
      ...sections,
    ],
    summary: linesOf(figures),
  };
}

const familiesOf = (prototype: TaskFamily["prototype"]): readonly TaskFamily[] =>
  selectFamilies().filter((family) => family.prototype === prototype);

interface Row {
  readonly name: string;
  readonly metric: Metric;
  /** Whether the model was trained on a family that shows the task; null if only its adapter may have been. */
  readonly seen: boolean | null;
}

/** One row of the table. A task that the model was trained on has no gap closure. */
function figuresOf(
  { name, metric, seen }: Row,
  { scores }: Compared,
  stored: StoredModels,
  { seed, limit }: SuiteContext,
  sameSamples: boolean,
) {
  const column = (condition: string) => scores.column(condition, metric);
  // Of some families there is no classical filter: a mean over the others would be of other samples.
  const of = (condition: string) => {
    const values = column(condition);
    return estimateOf(metric, values.length < limit ? [] : values, seed);
  };
  const meanOf = (condition: string) => of(condition)?.mean ?? null;
  const higherIsBetter = metric !== "rmse";
  const [full, causal] = comparisonModels.map((model) => storedFigures(stored[model], name, metric));
  const closed =
    full && !seen
      ? gapClosure(
          {
            withExample: column("xprompt"),
            without: column("wordsAlone"),
            full: { values: full.values, sameSamples: sameSamples && full.isMeasured },
          },
          higherIsBetter,
          seed,
        )
      : undefined;
  const byCount = (nameOf: (count: string, condition: string) => string) =>
    Object.fromEntries(
      Object.entries(exampleCounts).map(([count, condition]) => [count, meanOf(nameOf(count, condition))!]),
    );
  const examples = byCount((_, condition) => condition);
  const colourFits = byCount((count) => colourFitOf(Number(count)));
  const classical = meanOf("classical") ?? [];
  const rivals = [...Object.values(examples), ...Object.values(colourFits), classical].flat();
  const best = higherIsBetter ? Math.max(...rivals) : Math.min(...rivals);
  const cis = Object.fromEntries(
    [...baselines, ...Object.keys(conditions)].map((condition) => [condition, of(condition)?.ci ?? null]),
  );
  const measured = metricNames.filter((other) => scores.column("xprompt", other).length > 0);
  const errors = (condition: string) => scores.column(condition, "rmse");
  const better = (other: string) => shareBetter(errors("xprompt"), errors(other));
  return {
    metric,
    seen,
    full: full?.mean ?? null,
    /** Whether training on the task is at least as good as any number of examples and any baseline; null without `full`. */
    fullIsUpperBound: full ? (higherIsBetter ? best <= full.mean : best >= full.mean) : null,
    wordsAlone: meanOf("wordsAlone"),
    causal: causal?.mean ?? null,
    xprompt: meanOf("xprompt"),
    wrongExample: meanOf("wrongExample"),
    gapClosure: closed?.mean ?? null,
    queryAlone: meanOf("queryAlone"),
    xpromptWithInstruction: meanOf("xpromptWithInstruction"),
    ...Object.fromEntries(baselines.map((baseline) => [baseline, meanOf(baseline)])),
    examples,
    colourFits,
    betterThanUnchanged: better("unchanged"),
    betterThanColourFit: better("colourFit"),
    differences: {
      xpromptOverWordsAlone: difference(column("xprompt"), column("wordsAlone"), seed),
      wrongExampleOverWordsAlone: difference(column("wrongExample"), column("wordsAlone"), seed),
      xpromptOverWrongExample: difference(column("xprompt"), column("wrongExample"), seed),
      xpromptOverUnchanged: difference(column("xprompt"), column("unchanged"), seed),
      xpromptOverColourFit: difference(column("xprompt"), column("colourFit"), seed),
      roundTripOverXprompt: difference(column("roundTrip"), column("xprompt"), seed),
    },
    ci: { ...cis, full: full?.ci ?? null, causal: causal?.ci ?? null, gapClosure: closed?.ci ?? null },
    ...Object.fromEntries(measured.map((other) => [other, meansOf(scores, other)])),
    n: limit,
  };
}

/** Stored figures of a comparison model. Synthetic values replace missing ones. */
function storedFigures(model: Stored<StoredTasks> | undefined, task: string, metric: Metric) {
  const figures = model?.tasks[task];
  const [mean, ci, values] = [figures?.means[metric], figures?.ci[metric], figures?.values?.[metric]];
  if (figures === undefined || mean === undefined || ci === undefined) return undefined;
  return {
    mean,
    ci,
    values: values ?? syntheticValues({ mean, ci }, figures.n),
    isMeasured: values !== undefined,
  };
}

/** The provenance of the stored figures, and whether they belong to the same model and samples. */
const comparisonOf = (
  stored: StoredModels,
  { seed, limit, generations }: SuiteContext,
): Readonly<Record<string, (Belonging & { readonly sameSamples: boolean }) | null>> =>
  Object.fromEntries(
    comparisonModels.map((name) => {
      const figures = stored[name];
      if (!figures) return [name, null];
      const { tasks: measured, ...provenance } = figures;
      const sameSamples =
        provenance.seed === seed &&
        Object.values(measured).every(({ n }) => n === limit) &&
        isDeepStrictEqual(withPictures(provenance.settings), withPictures(generations.settings));
      return [name, { stored: true, sameSamples, ...provenance }];
    }),
  );

/** The settings of requests with pictures: here there are no others. */
const withPictures = ({ wordsAlone: _, ...settings }: RecommendedSampling) => settings;

const explanation =
  "xprompt: one example, no words; wordsAlone: only the instruction; full: a model that was trained on " +
  "the tasks, with an example; causal: a model with the plain causal mask, with an example; wrongExample: an example of " +
  "another task; gap closure: (xprompt − wordsAlone) / (full − wordsAlone), its interval over the samples of all three. " +
  "unchanged: the query itself; colourFit: least squares from the example's colours; classical: one filter, fixed for " +
  "the task; roundTrip: the truth through the image tokenizer. The tasks are not the paper's: other pictures, of another " +
  "size.";

/** Names the tasks that are not unseen. */
function seenNote(rows: Readonly<Record<string, Figures>>): string {
  const names = Object.keys(rows).filter((name) => rows[name]!.seen);
  return names.length > 0 ? ` The model was trained on ${names.join(", ")}.` : "";
}

/** Names the tasks on which some number of examples, or a baseline, beats training on the task. */
function boundNote(rows: Readonly<Record<string, Figures>>): string {
  const names = Object.keys(rows).filter(
    (name) => !rows[name]!.seen && rows[name]!.fullIsUpperBound === false,
  );
  if (names.length === 0) return "";
  return ` full is no upper bound on ${names.join(", ")}: some number of examples, a colour fit or a filter is better, so the gap closure is too high.`;
}

const columns = [
  "metric",
  "xprompt",
  "wordsAlone",
  ...baselines,
  "full",
  "gapClosure",
  "causal",
  "wrongExample",
  "betterThanUnchanged",
  "betterThanColourFit",
  "n",
] as const;

const tableOf = (rows: Readonly<Record<string, Figures>>) => ({
  columns: ["task", ...columns],
  rows: Object.entries(rows).map(([name, figures]) => [
    name,
    ...columns.map((column) => cellOf(figures, column)),
  ]),
});

/** One line per task. */
function linesOf(rows: Readonly<Record<string, Figures>>): string[] {
  return Object.entries(rows).map(([name, figures]) => {
    const { metric, ci, fullIsUpperBound, seen } = figures;
    const decimals = metric === "psnr" ? 1 : 3;
    const value = (column: string) => plain((figures[column] as number | null) ?? undefined, decimals);
    const baselineValues = baselines.map((baseline) => `${baseline} ${value(baseline)}`).join(", ");
    const closed = figures.gapClosure;
    const gap =
      closed === null || !ci.gapClosure
        ? "no gap above chance"
        : `gap closure ${withInterval({ mean: closed, ci: ci.gapClosure }, 2)}${fullIsUpperBound ? "" : " (full is no upper bound)"}`;
    const end = seen ? "the model was trained on it" : figures.full === null ? "no full model stored" : gap;
    return `${name}, ${metric}: one example ${value("xprompt")}, words alone ${value("wordsAlone")}, ${baselineValues}; ${end}`;
  });
}

type Figures = ReturnType<typeof figuresOf> & Readonly<Record<string, unknown>>;

/** A figure, with its interval if there is one. */
function cellOf(figures: Figures, column: string): Cell {
  const figure = (figures[column] ?? null) as Cell;
  const ci = (figures.ci as Record<string, Estimate["ci"] | null>)[column];
  return typeof figure === "number" && ci ? { mean: figure, ci } : figure;
}

/** Measures a comparison model and stores its figures. */
async function measureComparison(context: SuiteContext): Promise<SuiteOutcome> {
  const { generations, limit, seed, options } = context;
  generations.expect(Object.keys(tasks).length * limit);
  const measured: StoredTasks["tasks"] = {};
  const sections: Section[] = [];
  for (const [name, { family }] of Object.entries(tasks)) {
    const { scores, sheet } = await compareConditions(
      name,
      [familyNamed(family)],
      comparedConditions,
      context,
    );
    const known = metricNames.filter((metric) => scores.column("xprompt", metric).length > 0);
    const estimates = known.map(
      (metric) => [metric, estimateOf(metric, scores.column("xprompt", metric), seed)!] as const,
    );
    measured[name] = {
      n: limit,
      values: Object.fromEntries(known.map((metric) => [metric, scores.column("xprompt", metric)])),
      means: Object.fromEntries(estimates.map(([metric, { mean }]) => [metric, mean])),
      ci: Object.fromEntries(estimates.map(([metric, { ci }]) => [metric, ci])),
    };
    sections.push({ title: name, sheet });
  }
  const figures = await comparison.store(options.as!, { tasks: measured }, context);
  return { figures, report: sections, summary: [`${options.as} measured on ${limit} samples of each task`] };
}
