/**
 * @file Editing by instruction: without an example, with a random one, or with one retrieved from a library of other
 * edits (the paper's RAIE). Retrieval uses the default weights, full-text search alone, or the picture alone.
 */
import { XPromptError } from "../../errors.ts";
import type { Image } from "../../image/index.ts";
import { type Pair, Random, type TaskFamily } from "../../tasks/index.ts";
import { colourFit } from "../baselines/index.ts";
import { scorer } from "../conditions.ts";
import { ExamplePool, type SearchMode, searchModes } from "../example-pool.ts";
import { percent } from "../lines.ts";
import { mean } from "../metrics/bootstrap.ts";
import type { Section } from "../report.ts";
import { in8Bits, numbered, sampleOf } from "../samples.ts";
import { Scoreboard } from "../scores.ts";
import type { Suite, SuiteContext, SuiteOutcome } from "../suite.ts";
import { difference, estimateOf, shareBetter } from "../summary.ts";

const searches = Object.keys(searchModes) as SearchMode[];
const ways = ["wordsAlone", "random", ...searches] as const;
type Way = (typeof ways)[number];
/** The colour fit uses the retrieved example. There are no restorations here, so there is no classical filter. */
const baselineColumns = ["unchanged", "colourFit", "roundTrip"] as const;
type Column = Way | (typeof baselineColumns)[number];
const columns: readonly Column[] = [...ways, ...baselineColumns];
const metrics = ["success", "psnr", "rmse"] as const;

/** Pairs per family in the pool. */
const POOL = 64;
const SHOWN = 2;

export const editing: Suite = {
  name: "editing",
  description:
    "edits by instruction: without an example, with a random one, with the nearest one of a library",
  limit: 8,
  run: measure,
};

async function measure(context: SuiteContext): Promise<SuiteOutcome> {
  const { generations, limit, seed, model } = context;
  const families = editingFamilies(context);
  generations.expect(families.length * limit * ways.length);
  const pool = families.flatMap((family) =>
    Array.from({ length: POOL }, (_, i) => {
      const random = Random.of(seed, "pool", family.name, i);
      const { input, output, instruction } = in8Bits(family.draw(random).pair(random, model.size));
      return { input, output, instruction, family: family.name };
    }),
  );
  const library = await ExamplePool.open(model, pool);
  const scores = new Scoreboard();
  const perFamily: (readonly [string, ...number[]])[] = [];
  const sameFamily: Record<string, number[]> = Object.fromEntries(searches.map((way) => [way, []]));
  const sections: Section[] = [];
  try {
    for (const family of families) {
      const rows = [];
      for (let i = 0; i < limit; i++) {
        const sample = sampleOf(family, seed, i, model.size);
        const { input, output, instruction } = sample.query;
        const [roundTrip] = await model.reconstruct([output]);
        const score = scorer(sample.query, roundTrip!);
        const measure = (column: Column, image: Image) => scores.add(column, score(image));
        const chosen: Partial<Record<Way, (typeof pool)[number]>> = {
          random: Random.of(seed, "random example", family.name, i).pick(pool),
        };
        for (const way of searches) {
          chosen[way] = await library.nearest({ instruction, input }, way);
          sameFamily[way]!.push(chosen[way]?.family === family.name ? 1 : 0);
        }
        const cells = [{ image: input }, { image: output }];
        for (const way of ways) {
          const example = chosen[way];
          const { image } = await generations.generate({
            id: `${family.name}/${way}-${numbered(i)}`,
            seed: sample.seed,
            examples: example ? [example] : [],
            input,
            instruction,
          });
          measure(way, image);
          cells.push({ image });
        }
        const { input: before, output: after } = chosen.retrieved!;
        measure("unchanged", input);
        measure("colourFit", colourFit([chosen.retrieved!], input));
        measure("roundTrip", roundTrip!);
        if (i < SHOWN)
          rows.push({ label: instruction, cells: [...cells, { image: before }, { image: after }] });
      }
      const own = (column: Column) => mean(scores.column(column, "success").slice(-limit));
      perFamily.push([family.name, ...columns.map(own)]);
      const columnTitles = ["query", "truth", ...ways, "retrieved example", ""];
      sections.push({ title: family.name, sheet: { columnTitles, rows } });
    }
  } finally {
    await library.close();
  }
  const overall = Object.fromEntries(
    columns.map((column) => [
      column,
      Object.fromEntries(
        metrics.map((metric) => [metric, estimateOf(metric, scores.column(column, metric), seed)]),
      ),
    ]),
  );
  const success = (column: Column) => scores.column(column, "success");
  const better = (other: Column) =>
    shareBetter(scores.column("retrieved", "rmse"), scores.column(other, "rmse"));
  const [betterThanUnchanged, betterThanColourFit] = [better("unchanged"), better("colourFit")];
  return {
    figures: {
      metric: "success",
      overall,
      differences: {
        retrievedOverWordsAlone: difference(success("retrieved"), success("wordsAlone"), seed),
        retrievedOverRandom: difference(success("retrieved"), success("random"), seed),
      },
      betterThanUnchanged,
      betterThanColourFit,
      /** Share of retrieved examples of the right family. */
      sameFamily: Object.fromEntries(searches.map((way) => [way, mean(sameFamily[way]!)])),
      families: Object.fromEntries(
        perFamily.map(([name, ...values]) => [
          name,
          Object.fromEntries(columns.map((column, i) => [column, values[i]])),
        ]),
      ),
      pool: pool.length,
      n: families.length * limit,
    },
    summary: [
      `successful edits of ${success("wordsAlone").length}: words alone ${percent(overall.wordsAlone!.success)}, with the retrieved example ${percent(overall.retrieved!.success)}, with a random one ${percent(overall.random!.success)}`,
      `without the model: unchanged ${percent(overall.unchanged!.success)}, colour fit ${percent(overall.colourFit!.success)}, round trip ${percent(overall.roundTrip!.success)}`,
      `pictures nearer to the truth with the retrieved example: than unchanged ${percent(betterThanUnchanged)}, than the colour fit ${percent(betterThanColourFit)}`,
    ],
    report: [
      {
        title: "Editing",
        text: "Share of successful edits by the world's ground truth; the prompt always has the instruction. wordsAlone: without an example; random: a random example; retrieved: the library's nearest example; byWords, byPicture: the nearest by full-text search, by the picture; unchanged: the query itself; colourFit: least squares from the retrieved example's colours; roundTrip: the truth through the image tokenizer.",
        table: {
          columns: ["family", ...columns],
          rows: [["all", ...columns.map((column) => overall[column]!.success ?? null)], ...perFamily],
        },
      },
      ...sections,
    ],
  };
}

/** The trained families that edit a scene, which can be judged by the scene. */
function editingFamilies({ training }: SuiteContext): readonly TaskFamily[] {
  const edits = training.families.filter((family) => family.prototype === "editing" && isSceneEdit(family));
  if (edits.length > 0) return edits;
  throw new XPromptError(
    "eval editing: expected a model trained on edits of scenes, got one without (choose another suite)",
  );
}

function isSceneEdit(family: TaskFamily): boolean {
  const random = Random.of("is scene edit", family.name);
  const { scenes }: Pair = family.draw(random).pair(random, 8);
  return scenes !== undefined;
}
