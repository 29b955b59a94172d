/**
 * @file The paper's table of unseen tasks, on our scenes: how much of what training would have taught does one example
 * show? Five tasks that training never had, under the same conditions for the same scenes.
 */
import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import { familyNamed, selectFamilies, type TaskFamily } from "../../tasks/index.ts";
import { Comparison, type Stored, storedInterval } from "../comparison.ts";
import {
  baselines,
  type Compared,
  type Condition,
  compareConditions,
  type Metric,
  metricNames,
} from "../conditions.ts";
import type { Cell, Section } from "../report.ts";
import type { Suite, SuiteContext, SuiteOutcome } from "../suite.ts";
import { difference, type Estimate, estimate, gapClosure, meansOf } from "../summary.ts";

interface UnseenTask {
  readonly family: string;
  /** The metric that the gap is measured in. */
  readonly metric: Metric;
}

/** A model whose training had the tasks, and one with the plain causal mask. */
const comparisonModels = ["full", "causal"] as const;

const figuresSchema = z.object({
  n: z.int().min(1),
  /** Means by metric. */
  means: z.record(z.string(), z.number()),
  /** 95% intervals by metric. */
  ci: z.record(z.string(), storedInterval),
});
const storedSchema = z.object({ tasks: z.record(z.string(), figuresSchema) });
type StoredTasks = z.output<typeof storedSchema>;
type StoredModels = Readonly<Partial<Record<string, Stored<StoredTasks>>>>;

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
  none: { examples: 0, instruction: true },
  noneWithoutInstruction: { examples: 0, instruction: false },
  xpromptWithInstruction: { examples: 1, instruction: true },
  wrongExample: { examples: "wrong", instruction: false },
  twoExamples: { examples: 2, instruction: false },
  fourExamples: { examples: 4, instruction: false },
  eightExamples: { examples: 8, instruction: false },
} as const satisfies Readonly<Record<string, Condition>>;

/** All that is asked of a model that is compared with. */
const comparedConditions = { xprompt: conditions.xprompt };

const exampleCounts = { 1: "xprompt", 2: "twoExamples", 4: "fourExamples", 8: "eightExamples" } as const;

export const unseen: Suite = {
  name: "unseen",
  description:
    "tasks that training never had, by one example: the paper's five, and the gap an example closes",
  limit: 32,
  comparisons: comparisonModels,
  run: (context) => (context.options.as ? measureComparison(context) : measure(context)),
};

async function measure(context: SuiteContext): Promise<SuiteOutcome> {
  const { drawings, limit, folder, training } = context;
  const stored = await comparison.read(folder);
  const prototypes = training.heldOutPrototypes;
  const groups = Object.keys(tasks).length + prototypes.length;
  drawings.expect(groups * limit * Object.keys(conditions).length);
  const figures: Record<string, object> = {};
  const sections: Section[] = [];
  for (const [name, { family, metric }] of Object.entries(tasks)) {
    const compared = await compareConditions(name, [familyNamed(family)], conditions, context);
    figures[name] = figuresOf(name, metric, compared, stored, context);
    sections.push({ title: name, sheet: compared.sheet });
  }
  const ofPrototypes: Record<string, object> = {};
  for (const prototype of prototypes) {
    const compared = await compareConditions(prototype, familiesOf(prototype), conditions, context);
    ofPrototypes[prototype] = figuresOf(prototype, "psnr", compared, stored, context);
    sections.push({ title: `${prototype}, held out whole`, sheet: compared.sheet });
  }
  const summary = summaryOf({ ...figures, ...ofPrototypes });
  const comparedWith = comparisonOf(stored, context);
  const others = Object.entries(comparedWith).filter(([, known]) => known && !known.sameSamples);
  const ofOthers = others
    .map(([name]) => ` ${name} was measured on other samples or drawn otherwise.`)
    .join("");
  return {
    figures: { tasks: figures, prototypes: ofPrototypes, comparison: comparedWith },
    report: [{ title: "Unseen tasks", text: explanation + ofOthers, table: summary }, ...sections],
  };
}

const familiesOf = (prototype: TaskFamily["prototype"]): readonly TaskFamily[] =>
  selectFamilies().filter((family) => family.prototype === prototype);

/** One row of the table. */
function figuresOf(
  name: string,
  metric: Metric,
  { scores }: Compared,
  stored: StoredModels,
  { seed, limit }: SuiteContext,
) {
  const column = (condition: keyof typeof conditions | (typeof baselines)[number]) =>
    scores.column(condition, metric);
  const of = (condition: Parameters<typeof column>[0]) => estimate(column(condition), seed)!;
  const [full, causal] = comparisonModels.map((model) => {
    const figures = stored[model]?.tasks[name];
    return { mean: figures?.means[metric] ?? null, ci: figures?.ci[metric] ?? null };
  }) as [
    { mean: number | null; ci: readonly number[] | null },
    { mean: number | null; ci: readonly number[] | null },
  ];
  const closed =
    full.mean === null
      ? undefined
      : gapClosure(
          { withExample: column("xprompt"), without: column("none"), full: full.mean },
          metric !== "rmse",
          seed,
        );
  const names = [...baselines, ...(Object.keys(conditions) as (keyof typeof conditions)[])];
  const cis = Object.fromEntries(names.map((condition) => [condition, of(condition).ci]));
  const measured = metricNames.filter((other) => scores.column("xprompt", other).length > 0);
  return {
    metric,
    full: full.mean,
    none: of("none").mean,
    causal: causal.mean,
    xprompt: of("xprompt").mean,
    wrongExample: of("wrongExample").mean,
    gapClosure: closed?.mean ?? null,
    noneWithoutInstruction: of("noneWithoutInstruction").mean,
    xpromptWithInstruction: of("xpromptWithInstruction").mean,
    ceiling: of("ceiling").mean,
    unchanged: of("unchanged").mean,
    examples: Object.fromEntries(
      Object.entries(exampleCounts).map(([count, condition]) => [count, of(condition).mean]),
    ),
    differences: {
      xpromptOverNone: difference(column("xprompt"), column("none"), seed),
      wrongExampleOverNone: difference(column("wrongExample"), column("none"), seed),
      xpromptOverWrongExample: difference(column("xprompt"), column("wrongExample"), seed),
      ceilingOverXprompt: difference(column("ceiling"), column("xprompt"), seed),
    },
    ci: { ...cis, full: full.ci, causal: causal.ci, gapClosure: closed?.ci ?? null },
    ...Object.fromEntries(measured.map((other) => [other, meansOf(scores, other)])),
    n: limit,
  };
}

/** What is known about the stored figures, without the figures, and whether they are of the samples measured here. */
const comparisonOf = (stored: StoredModels, { seed, limit, drawings }: SuiteContext) =>
  Object.fromEntries(
    comparisonModels.map((name) => {
      const figures = stored[name];
      if (!figures) return [name, null];
      const { tasks: measured, ...provenance } = figures;
      const sameSamples =
        provenance.seed === seed &&
        Object.values(measured).every(({ n }) => n === limit) &&
        isDeepStrictEqual(provenance.settings, drawings.settings);
      return [name, { stored: true, sameSamples, ...provenance }];
    }),
  );

const explanation =
  "full: a model that was trained on the tasks, with an example; none: no example, the instruction in words; " +
  "causal: a model with the plain causal mask, with an example; xprompt: one example, no words; wrongExample: an " +
  "example of another task; gap closure: (xprompt − none) / (full − none); ceiling: the truth through the image " +
  "tokenizer; unchanged: the query picture itself.";

function summaryOf(rows: Readonly<Record<string, object>>) {
  const columns = [
    "metric",
    "xprompt",
    "none",
    "full",
    "gapClosure",
    "causal",
    "wrongExample",
    "ceiling",
    "unchanged",
    "n",
  ];
  return {
    columns: ["task", ...columns],
    rows: Object.entries(rows).map(([name, figures]) => [
      name,
      ...columns.map((column) => cellOf(figures as Figures, column)),
    ]),
  };
}

type Figures = ReturnType<typeof figuresOf> & Readonly<Record<string, Cell>>;

/** A figure, with its interval where it has one. */
function cellOf(figures: Figures, column: string): Cell {
  const figure = figures[column]!;
  const ci = (figures.ci as Record<string, Estimate["ci"] | null>)[column];
  return typeof figure === "number" && ci ? { mean: figure, ci } : figure;
}

/** Measures a model that is compared with, by its one condition, and stores the figures beside the model they are for. */
async function measureComparison(context: SuiteContext): Promise<SuiteOutcome> {
  const { drawings, limit, seed, options } = context;
  drawings.expect(Object.keys(tasks).length * limit);
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
      (metric) => [metric, estimate(scores.column("xprompt", metric), seed)!] as const,
    );
    measured[name] = {
      n: limit,
      means: Object.fromEntries(estimates.map(([metric, { mean }]) => [metric, mean])),
      ci: Object.fromEntries(estimates.map(([metric, { ci }]) => [metric, ci])),
    };
    sections.push({ title: name, sheet });
  }
  const figures = await comparison.store(options.as!, { tasks: measured }, context);
  return { figures, report: sections };
}
