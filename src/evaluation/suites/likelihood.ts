/**
 * @file How likely the true picture is, in nats a code: nothing is drawn, and so nothing depends on how. Of tasks with
 * the right example, a wrong one and none; of scenes with their caption, another one and none.
 */
import { Progress } from "../../progress.ts";
import {
  families as all,
  caption,
  drawScene,
  familyNamed,
  heldOutOfScenes,
  Random,
  renderScene,
} from "../../tasks/index.ts";
import { examplesOf } from "../conditions.ts";
import { mean } from "../metrics/bootstrap.ts";
import { sampleOf } from "../samples.ts";
import type { Suite, SuiteContext, SuiteOutcome } from "../suite.ts";
import { difference, estimate } from "../summary.ts";

const conditions = ["right", "wrong", "none"] as const;
/** Nats a code of every sample, by condition. */
type Columns = Readonly<Record<(typeof conditions)[number], number[]>>;

/** Scenes with captions for every sample of a family. */
const SCENES = 16;

export const likelihood: Suite = {
  name: "likelihood",
  description: "nats a code of the true picture, by family, with the right example, a wrong one and none",
  limit: 4,
  drawsNothing: true,
  run: measure,
};

async function measure(context: SuiteContext): Promise<SuiteOutcome> {
  const { training, limit, seed, signal } = context;
  const unseen = heldOutOfScenes.filter((name) => !training.families.includes(name));
  const others = all
    .map(({ name }) => name)
    .filter((name) => !training.families.includes(name) && !unseen.includes(name));
  const names = [...training.families, ...unseen, ...others];
  const progress = new Progress({
    label: "likelihood",
    total: (names.length + SCENES) * limit,
    unit: "samples",
  });
  let done = 0;
  const onSample = () => {
    progress.update(++done);
    signal?.throwIfAborted();
  };
  try {
    const families = new Map<string, Columns>();
    for (const name of names) families.set(name, await ofFamily(name, context, onSample));
    const scenes = await ofScenes(context, onSample);
    const pooled = (group: readonly string[]) =>
      columnsOf((condition) => group.flatMap((name) => families.get(name)![condition]));
    const better = (other: "wrong" | "none") =>
      mean(
        training.families.map((name) => {
          const columns = families.get(name)!;
          return mean(columns.right) < mean(columns[other]) ? 1 : 0;
        }),
      );
    const seen = pooled(training.families);
    const figures = {
      unit: "nats a code",
      overall: summaryOf(seen, seed),
      unseen: unseen.length > 0 ? summaryOf(pooled(unseen), seed) : null,
      others: others.length > 0 ? summaryOf(pooled(others), seed) : null,
      textToImage: summaryOf(scenes, seed),
      betterThanWrong: better("wrong"),
      betterThanNone: better("none"),
      families: Object.fromEntries([...families].map(([name, columns]) => [name, meansOf(columns)])),
      n: limit,
    };
    const row = (name: string, columns: Columns) => {
      const { right, wrong, none } = meansOf(columns);
      return [name, right, wrong, none];
    };
    const rows = [
      row("seen families", seen),
      ...(unseen.length > 0 ? [row("the paper's unseen tasks", pooled(unseen))] : []),
      ...(others.length > 0 ? [row("other families never seen", pooled(others))] : []),
      row("scenes by their captions", scenes),
      ...[...families].map(([name, columns]) => row(name, columns)),
    ];
    const text =
      "Nats a code of the true picture, given the codes before it: lower is better. right: one example of the task, or " +
      "the scene's own caption; wrong: an example of another family, or another scene's caption; none: neither.";
    return {
      figures,
      report: [{ title: "Likelihood", text, table: { columns: ["", ...conditions], rows } }],
    };
  } finally {
    progress.stop();
  }
}

async function ofFamily(name: string, context: SuiteContext, onSample: () => void): Promise<Columns> {
  const { model, seed, limit } = context;
  const family = familyNamed(name);
  const columns = columnsOf(() => []);
  for (let i = 0; i < limit; i++) {
    const sample = sampleOf(family, seed, i, model.size);
    const { input, output } = sample.query;
    const shown = examplesOf(family, sample, context, i);
    const prompts = {
      right: await model.compress(shown(1)),
      wrong: await model.compress(shown("wrong")),
      none: undefined,
    };
    for (const condition of conditions)
      columns[condition].push(mean(await model.score({ prompt: prompts[condition], input, output })));
    onSample();
  }
  return columns;
}

async function ofScenes({ model, seed, limit }: SuiteContext, onSample: () => void): Promise<Columns> {
  const count = SCENES * limit;
  const drawn = Array.from({ length: count }, (_, i) => {
    const random = Random.of(seed, "captioned scene", i);
    const scene = drawScene(random);
    return { output: renderScene(scene, model.size).image, text: caption(scene, random) };
  });
  const columns = columnsOf(() => []);
  for (const [i, { output, text }] of drawn.entries()) {
    const texts = { right: text, wrong: drawn[(i + 1) % count]!.text, none: "" };
    for (const condition of conditions)
      columns[condition].push(mean(await model.score({ instruction: texts[condition], output })));
    onSample();
  }
  return columns;
}

const columnsOf = (values: (condition: (typeof conditions)[number]) => number[]): Columns => ({
  right: values("right"),
  wrong: values("wrong"),
  none: values("none"),
});

const meansOf = ({ right, wrong, none }: Columns) => ({
  right: mean(right),
  wrong: mean(wrong),
  none: mean(none),
});

const summaryOf = (columns: Columns, seed: number) => ({
  ...Object.fromEntries(conditions.map((condition) => [condition, estimate(columns[condition], seed)])),
  wrongOverRight: difference(columns.wrong, columns.right, seed),
  noneOverRight: difference(columns.none, columns.right, seed),
});
