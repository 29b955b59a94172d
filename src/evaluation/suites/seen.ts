/** @file The tasks that training showed, on new scenes and parameters: what the right example is worth, family by family. */
import { drawScene, familyNamed, Random, renderScene, type TaskFamily } from "../../tasks/index.ts";
import { baselines, type Condition, compareConditions, type Metric, type Scoreboard } from "../conditions.ts";
import { mean } from "../metrics/bootstrap.ts";
import { boundedPsnr } from "../metrics/pictures.ts";
import type { Section } from "../report.ts";
import type { Suite, SuiteContext, SuiteOutcome } from "../suite.ts";
import { difference, estimate, meansOf } from "../summary.ts";

const conditions = {
  right: { examples: 1, instruction: false },
  wrong: { examples: "wrong", instruction: false },
  none: { examples: 0, instruction: false },
} as const satisfies Readonly<Record<string, Condition>>;

const columns = [...(Object.keys(conditions) as (keyof typeof conditions)[]), ...baselines];

export const seen: Suite = {
  name: "seen",
  description: "every family that training showed, with the right example, a wrong one and none",
  limit: 4,
  run: measure,
};

async function measure(context: SuiteContext): Promise<SuiteOutcome> {
  const { drawings, limit, training, seed } = context;
  drawings.expect(training.families.length * limit * Object.keys(conditions).length);
  const figures: Record<string, ReturnType<typeof figuresOf>> = {};
  const boards: Scoreboard[] = [];
  const restored: Scoreboard[] = [];
  const pictures: Section[] = [];
  for (const name of training.families) {
    const family = familyNamed(name);
    const { scores, sheet } = await compareConditions(name, [family], conditions, context);
    figures[name] = figuresOf(scores);
    boards.push(scores);
    if (isRestoration(family)) restored.push(scores);
    pictures.push({ title: name, sheet });
  }
  const pooled = pool(boards, "rmse");
  const overall = estimates(pooled, seed);
  const share = (other: "wrong" | "none") =>
    mean(boards.map((scores) => (meanRmse(scores, "right") < meanRmse(scores, other) ? 1 : 0)));
  const differences = {
    wrongOverRight: difference(pooled("wrong"), pooled("right"), seed),
    noneOverRight: difference(pooled("none"), pooled("right"), seed),
  };
  const rows = Object.entries(figures).map(([name, { rmse, success }]) => [
    name,
    ...columns.map((column) => rmse[column]!),
    success?.right ?? null,
  ]);
  const table = {
    columns: ["family", ...columns, "edit success"],
    rows: [["mean", ...columns.map((column) => overall[column]!), null], ...rows],
  };
  const text =
    "Root mean square distance to the truth: lower is better. right: one example of the task; wrong: one of another " +
    "family; none: the query alone; ceiling: the truth through the image tokenizer; unchanged: the query itself.";
  return {
    figures: {
      metric: "rmse",
      overall,
      differences,
      betterThanWrong: share("wrong"),
      betterThanNone: share("none"),
      ...(restored.length > 0 && { restoration: restorationOf(restored, seed) }),
      tokenizer: { psnr: await tokenizerPsnr(context), n: SCENES },
      families: figures,
      n: limit,
    },
    report: [{ title: "Seen families", text, table }, ...pictures],
  };
}

/** Scenes that go through the image tokenizer by themselves. */
const SCENES = 128;

/** What is left of scenes, as they are drawn for captions, that go through the image tokenizer and back. */
async function tokenizerPsnr({ model, seed }: SuiteContext) {
  const scores: number[] = [];
  for (let i = 0; i < SCENES; i++) {
    const { image } = renderScene(drawScene(Random.of(seed, "evaluation", "scene", i)), model.size);
    const [reconstructed] = await model.reconstruct([image]);
    scores.push(boundedPsnr(reconstructed!, image));
  }
  return estimate(scores, seed);
}

/** Whether it undoes what rain, noise, blur and the like did. */
const isRestoration = ({ prototype, reverseOf }: TaskFamily): boolean =>
  prototype === "low-level" && reverseOf !== undefined;

/** PSNR of the restoration families together, and how far below the image tokenizer's own it is. */
function restorationOf(boards: readonly Scoreboard[], seed: number) {
  const pooled = pool(boards, "psnr");
  return {
    psnr: estimates(pooled, seed),
    belowCeiling: difference(pooled("ceiling"), pooled("right"), seed),
  };
}

type Pooled = (condition: (typeof columns)[number]) => number[];

/** One metric over the samples of several families. */
const pool =
  (boards: readonly Scoreboard[], metric: Metric): Pooled =>
  (condition) =>
    boards.flatMap((scores) => scores.column(condition, metric));

const estimates = (pooled: Pooled, seed: number) =>
  Object.fromEntries(columns.map((condition) => [condition, estimate(pooled(condition), seed)]));

const meanRmse = (scores: Scoreboard, condition: keyof typeof conditions): number =>
  mean(scores.column(condition, "rmse"));

function figuresOf(scores: Scoreboard) {
  const success = meansOf(scores, "success");
  return {
    rmse: meansOf(scores, "rmse"),
    psnr: meansOf(scores, "psnr"),
    ssim: meansOf(scores, "ssim"),
    ...(Object.keys(success).length > 0 && { success }),
  };
}
