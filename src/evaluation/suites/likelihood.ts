/**
 * @file NLL of the true picture in nats per code. It involves no sampling. For tasks: with the right example, with a
 * wrong one, and with the query alone. For scenes: with their caption, with another one, and without.
 */
import { rounded } from "../../image/index.ts";
import {
  families as all,
  caption,
  drawScene,
  familyNamed,
  heldOutOfScenes,
  Random,
  renderScene,
  type TaskFamily,
} from "../../tasks/index.ts";
import { examplesOf } from "../conditions.ts";
import { plain } from "../lines.ts";
import { mean } from "../metrics/bootstrap.ts";
import { SampleCounter } from "../sample-counter.ts";
import { sampleOf } from "../samples.ts";
import type { Suite, SuiteContext, SuiteOutcome } from "../suite.ts";
import { difference, estimate, shareEstimate } from "../summary.ts";
import { hasSeen, trainedFamilies } from "../training-facts.ts";

/** `without`: only the query, or a scene without caption. */
const conditions = ["right", "wrong", "without"] as const;
type Without = "queryAlone" | "noCaption";
/** NLL per code in nats of every sample, by condition. */
type Columns = Readonly<Record<(typeof conditions)[number], number[]>>;

/** Captioned scenes per sample of a family. */
const SCENES = 16;

export const likelihood: Suite = {
  name: "likelihood",
  description:
    "NLL of the true picture in nats per code, by family: right example, wrong example, query alone",
  limit: 4,
  generatesNothing: true,
  run: measure,
};

async function measure(context: SuiteContext): Promise<SuiteOutcome> {
  const { training, limit, seed } = context;
  const unseen = heldOutOfScenes.filter((name) => !hasSeen(training, name)).map(familyNamed);
  const others = all.filter((family) => !hasSeen(training, family.name) && !unseen.includes(family));
  const trained = trainedFamilies("likelihood", training);
  const measured = [...trained, ...unseen, ...others];
  using counter = new SampleCounter("likelihood", (measured.length + SCENES) * limit, context);
  const onSample = () => counter.next();
  const families = new Map<string, Columns>();
  for (const family of measured) families.set(family.name, await ofFamily(family, context, onSample));
  const scenes = await ofScenes(context, onSample);
  const pooled = (group: readonly TaskFamily[]) =>
    columnsOf((condition) => group.flatMap(({ name }) => families.get(name)![condition]));
  const better = (other: "wrong" | "without") =>
    shareEstimate(
      trained.map(({ name }) => {
        const columns = families.get(name)!;
        return mean(columns.right) < mean(columns[other]) ? 1 : 0;
      }),
    );
  const seen = pooled(trained);
  const figures = {
    unit: "nats per code",
    overall: summaryOf(seen, "queryAlone", seed),
    unseen: unseen.length > 0 ? summaryOf(pooled(unseen), "queryAlone", seed) : null,
    others: others.length > 0 ? summaryOf(pooled(others), "queryAlone", seed) : null,
    textToImage: summaryOf(scenes, "noCaption", seed),
    betterThanWrong: better("wrong"),
    betterThanQueryAlone: better("without"),
    families: Object.fromEntries(
      [...families].map(([name, columns]) => [name, renamed(meansOf(columns), "queryAlone")]),
    ),
    n: limit,
  };
  const row = (name: string, columns: Columns) => {
    const { right, wrong, without } = meansOf(columns);
    return [name, right, wrong, without];
  };
  const rows = [
    row("seen families", seen),
    ...(unseen.length > 0 ? [row("the paper's unseen tasks", pooled(unseen))] : []),
    ...(others.length > 0 ? [row("other families never seen", pooled(others))] : []),
    row("scenes by their captions", scenes),
    ...[...families].map(([name, columns]) => row(name, columns)),
  ];
  const text =
    "NLL of the true picture in nats per code, lower is better. right: one example of the task, or " +
    "the scene's own caption; wrong: an example of another family, or another scene's caption; without: the query alone, or no caption.";
  return {
    figures,
    summary: [
      lineOf("nats per code of the true picture, seen families", seen),
      ...(unseen.length > 0 ? [lineOf("the paper's unseen tasks", pooled(unseen))] : []),
      lineOf("scenes by their captions", scenes),
    ],
    report: [{ title: "Likelihood", text, table: { columns: ["", ...conditions], rows } }],
  };
}

async function ofFamily(family: TaskFamily, context: SuiteContext, onSample: () => void): Promise<Columns> {
  const { model, seed, limit } = context;
  const columns = columnsOf(() => []);
  for (let i = 0; i < limit; i++) {
    const sample = sampleOf(family, seed, i, model.size);
    const { input, output } = sample.query;
    const examplesFor = examplesOf(family, sample, context, i);
    const prompts = {
      right: await model.compress(examplesFor(1)),
      wrong: await model.compress(examplesFor("wrong")),
      without: undefined,
    };
    for (const condition of conditions)
      columns[condition].push(mean(await model.score({ prompt: prompts[condition], input, output })));
    onSample();
  }
  return columns;
}

async function ofScenes({ model, seed, limit }: SuiteContext, onSample: () => void): Promise<Columns> {
  const count = SCENES * limit;
  const scenes = Array.from({ length: count }, (_, i) => {
    const random = Random.of(seed, "captioned scene", i);
    const scene = drawScene(random);
    return { output: rounded(renderScene(scene, model.size).image), text: caption(scene, random) };
  });
  const columns = columnsOf(() => []);
  for (const [i, { output, text }] of scenes.entries()) {
    const texts = { right: text, wrong: scenes[(i + 1) % count]!.text, without: "" };
    for (const condition of conditions)
      columns[condition].push(mean(await model.score({ instruction: texts[condition], output })));
    onSample();
  }
  return columns;
}

const columnsOf = (values: (condition: (typeof conditions)[number]) => number[]): Columns => ({
  right: values("right"),
  wrong: values("wrong"),
  without: values("without"),
});

const meansOf = ({ right, wrong, without }: Columns) => ({
  right: mean(right),
  wrong: mean(wrong),
  without: mean(without),
});

/** Names the third condition. */
const renamed = <T>({ right, wrong, without }: Record<(typeof conditions)[number], T>, name: Without) => ({
  right,
  wrong,
  [name]: without,
});

const summaryOf = (columns: Columns, name: Without, seed: number) => ({
  ...renamed(
    {
      right: estimate(columns.right, seed),
      wrong: estimate(columns.wrong, seed),
      without: estimate(columns.without, seed),
    },
    name,
  ),
  wrongOverRight: difference(columns.wrong, columns.right, seed),
  [`${name}OverRight`]: difference(columns.without, columns.right, seed),
});

/** The line of one group. */
function lineOf(what: string, columns: Columns): string {
  const { right, wrong, without } = meansOf(columns);
  return `${what}: right ${plain(right, 2)}, wrong ${plain(wrong, 2)}, without ${plain(without, 2)}`;
}
