/** @file Trained tasks with new scenes and parameters: the benefit of the right example, by family. */
import { rounded } from "../../image/index.ts";
import { drawScene, Random, renderScene, type TaskFamily } from "../../tasks/index.ts";
import { type Baseline, baselines } from "../baselines/index.ts";
import { type Condition, compareConditions } from "../conditions.ts";
import { percent, plain, withInterval } from "../lines.ts";
import type { Estimate } from "../metrics/bootstrap.ts";
import { boundedPsnr } from "../metrics/pictures.ts";
import type { Section, Table } from "../report.ts";
import type { Metric, Scoreboard } from "../scores.ts";
import type { Suite, SuiteContext, SuiteOutcome } from "../suite.ts";
import { difference, estimate, meansOf, shareBetter } from "../summary.ts";
import { trainedFamilies } from "../training-facts.ts";

const conditions = {
  right: { examples: 1, instruction: false },
  wrong: { examples: "wrong", instruction: false },
  queryAlone: { examples: 0, instruction: false },
} as const satisfies Readonly<Record<string, Condition>>;

type Column = keyof typeof conditions | Baseline;
const allColumns: readonly Column[] = [
  ...(Object.keys(conditions) as (keyof typeof conditions)[]),
  ...baselines,
];
/** The columns of all families. Only restorations have a classical filter. */
const columns = allColumns.filter((column) => column !== "classical");

export const seen: Suite = {
  name: "seen",
  description: "all trained families: right example, wrong example, query alone, and baselines",
  limit: 4,
  run: measure,
};

interface Measured {
  readonly family: TaskFamily;
  readonly scores: Scoreboard;
}

async function measure(context: SuiteContext): Promise<SuiteOutcome> {
  const { generations, limit, training, seed } = context;
  const trained = trainedFamilies("seen", training);
  generations.expect(trained.length * limit * Object.keys(conditions).length);
  const measured: Measured[] = [];
  const pictures: Section[] = [];
  for (const family of trained) {
    const { scores, sheet } = await compareConditions(family.name, [family], conditions, context);
    measured.push({ family, scores });
    pictures.push({ title: family.name, sheet });
  }
  const pooled = pool(measured, "rmse");
  const overall = estimates(columns, pooled, seed);
  const comparisons = comparisonsOf(pooled);
  const prototypes = Object.fromEntries(
    [...new Set(measured.map(({ family }) => family.prototype))].map((prototype) => {
      const group = pool(
        measured.filter(({ family }) => family.prototype === prototype),
        "rmse",
      );
      return [prototype, { ...estimates(columns, group, seed), ...comparisonsOf(group) }];
    }),
  );
  const restored = measured.filter(({ family }) => isRestoration(family));
  const restoration = restored.length > 0 ? restorationOf(restored, seed) : undefined;
  const families = Object.fromEntries(measured.map(({ family, scores }) => [family.name, figuresOf(scores)]));
  const tokenizer = { psnr: await tokenizerPsnr(context), n: SCENES };
  return {
    figures: {
      metric: "rmse",
      overall,
      differences: {
        wrongOverRight: difference(pooled("wrong"), pooled("right"), seed),
        queryAloneOverRight: difference(pooled("queryAlone"), pooled("right"), seed),
        unchangedOverRight: difference(pooled("unchanged"), pooled("right"), seed),
        colourFitOverRight: difference(pooled("colourFit"), pooled("right"), seed),
      },
      ...comparisons,
      prototypes,
      restoration,
      tokenizer,
      families,
      n: limit,
    },
    report: [
      { title: "Seen families", text: explanation, table: familyTable(overall, families) },
      {
        title: "Kinds of change",
        text: "Mean distances by prototype task, and the share of pictures that are nearer to the truth than the baseline.",
        table: prototypeTable(prototypes),
      },
      ...(restoration ? [{ title: "Restorations, PSNR", table: restorationTable(restoration.psnr) }] : []),
      ...pictures,
    ],
    summary: [
      `RMS distance to the truth over ${pooled("right").length} pictures: right example ${withInterval(overall.right, 3)}, ` +
        `wrong example ${plain(overall.wrong?.mean, 3)}, query alone ${plain(overall.queryAlone?.mean, 3)}`,
      `without the model: unchanged ${plain(overall.unchanged?.mean, 3)}, colour fit ${plain(overall.colourFit?.mean, 3)}, ` +
        `tokenizer's round trip ${plain(overall.roundTrip?.mean, 3)}`,
      `pictures nearer to the truth with the right example: than unchanged ${percent(comparisons.betterThanUnchanged)}, ` +
        `than the colour fit ${percent(comparisons.betterThanColourFit)}, than a wrong example ${percent(comparisons.betterThanWrong)}, ` +
        `than the query alone ${percent(comparisons.betterThanQueryAlone)}`,
      ...(restoration
        ? [
            `restorations, PSNR in dB: right example ${withInterval(restoration.psnr.right, 1)}, ` +
              `unchanged ${plain(restoration.psnr.unchanged?.mean, 1)}, classical filter ${plain(restoration.psnr.classical?.mean, 1)}, ` +
              `colour fit ${plain(restoration.psnr.colourFit?.mean, 1)}, round trip ${plain(restoration.psnr.roundTrip?.mean, 1)}`,
          ]
        : []),
    ],
  };
}

const explanation =
  "Root mean square distance to the truth: lower is better. right: one example of the task; wrong: one of another " +
  "family; queryAlone: the query without an example or words; unchanged: the query itself; colourFit: least squares from " +
  "the colours of the right example's input to those of its output; roundTrip: the truth through the image tokenizer.";

/** Number of scenes for the tokenizer's PSNR. */
const SCENES = 128;

/** PSNR of random scenes after a round trip through the image tokenizer. */
async function tokenizerPsnr({ model, seed }: SuiteContext) {
  const scores: number[] = [];
  for (let i = 0; i < SCENES; i++) {
    const scene = drawScene(Random.of(seed, "evaluation", "scene", i));
    const image = rounded(renderScene(scene, model.size).image);
    const [reconstructed] = await model.reconstruct([image]);
    scores.push(boundedPsnr(rounded(reconstructed!), image));
  }
  return estimate(scores, seed);
}

/** Whether the family removes rain, noise, blur or the like. */
const isRestoration = ({ prototype, reverseOf }: TaskFamily): boolean =>
  prototype === "low-level" && reverseOf !== undefined;

/** PSNR of all restoration families, and its distance to the PSNR of the image tokenizer. */
function restorationOf(restored: readonly Measured[], seed: number) {
  const pooled = pool(restored, "psnr");
  return {
    psnr: estimates(allColumns, pooled, seed),
    belowRoundTrip: difference(pooled("roundTrip"), pooled("right"), seed),
  };
}

type Pooled = (condition: Column) => number[];

/** One metric over the samples of several families. */
const pool =
  (measured: readonly Measured[], metric: Metric): Pooled =>
  (condition) =>
    measured.flatMap(({ scores }) => scores.column(condition, metric));

type Estimates = Partial<Record<Column, Estimate>>;

const estimates = (names: readonly Column[], pooled: Pooled, seed: number): Estimates =>
  Object.fromEntries(names.map((condition) => [condition, estimate(pooled(condition), seed)]));

/** Shares of pictures that are nearer to the truth with the right example than under another condition. */
function comparisonsOf(pooled: Pooled) {
  const than = (other: Column) => shareBetter(pooled("right"), pooled(other));
  return {
    betterThanUnchanged: than("unchanged"),
    betterThanColourFit: than("colourFit"),
    betterThanWrong: than("wrong"),
    betterThanQueryAlone: than("queryAlone"),
  };
}

function figuresOf(scores: Scoreboard) {
  const success = meansOf(scores, "success");
  return {
    rmse: meansOf(scores, "rmse"),
    psnr: meansOf(scores, "psnr"),
    ssim: meansOf(scores, "ssim"),
    ...(Object.keys(success).length > 0 && { success }),
  };
}

const familyTable = (
  overall: Estimates,
  families: Readonly<Record<string, ReturnType<typeof figuresOf>>>,
): Table => ({
  columns: ["family", ...allColumns, "edit success"],
  rows: [
    ["mean", ...allColumns.map((column) => overall[column] ?? null), null],
    ...Object.entries(families).map(([name, { rmse, success }]) => [
      name,
      ...allColumns.map((column) => rmse[column] ?? null),
      success?.right ?? null,
    ]),
  ],
});

function prototypeTable(
  prototypes: Readonly<Record<string, Estimates & ReturnType<typeof comparisonsOf>>>,
): Table {
  const figures = [...columns, "betterThanUnchanged", "betterThanColourFit"] as const;
  return {
    columns: ["prototype", ...figures],
    rows: Object.entries(prototypes).map(([name, group]) => [
      name,
      ...figures.map((figure) => group[figure] ?? null),
    ]),
  };
}

const restorationTable = (psnr: Estimates): Table => ({
  columns: allColumns,
  rows: [allColumns.map((column) => psnr[column] ?? null)],
});
