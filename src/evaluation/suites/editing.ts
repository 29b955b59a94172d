/**
 * @file Editing by words, with an example to go with them or not: none, one at random, or the one whose instruction is
 * most like what is asked (the paper's RAIE). Examples come from a pool of other edits with other parameters.
 */
import { XPromptError } from "../../errors.ts";
import { type Pair, Random, selectFamilies, type TaskFamily } from "../../tasks/index.ts";
import type { Shown } from "../drawings.ts";
import { EditJudge } from "../judges/edit.ts";
import { mean } from "../metrics/bootstrap.ts";
import { psnr, rmse } from "../metrics/pictures.ts";
import type { Section } from "../report.ts";
import { numbered, sampleOf } from "../samples.ts";
import type { Suite, SuiteContext, SuiteOutcome } from "../suite.ts";
import { difference, estimate } from "../summary.ts";

/** Finds in a pool of examples the one for an instruction. */
export type Retrieve = (instruction: string, pool: readonly string[]) => number;

const ways = ["none", "random", "retrieved"] as const;
type Way = (typeof ways)[number];
const metrics = ["success", "psnr", "rmse"] as const;

/** Pairs in the pool for each family. */
const POOL = 8;
const SHOWN = 2;

export const editing: Suite = {
  name: "editing",
  description:
    "edits asked for in words: without an example, with one at random, with the most similar one of a pool",
  limit: 8,
  run: (context) => measure(context, mostSimilar),
};

async function measure(context: SuiteContext, retrieve: Retrieve): Promise<SuiteOutcome> {
  const { drawings, limit, seed, model } = context;
  const families = editingFamilies(context);
  drawings.expect(families.length * limit * ways.length);
  const pool = families.flatMap((family) =>
    Array.from({ length: POOL }, (_, i) => {
      const random = Random.of(seed, "pool", family.name, i);
      return { family: family.name, pair: family.draw(random).pair(random, model.size) };
    }),
  );
  const shown = pool.map(
    ({ pair: { input, output, instruction } }): Shown => ({ input, output, instruction }),
  );
  const scores = Object.fromEntries(
    ways.map((way) => [way, { success: [], psnr: [], rmse: [] }]),
  ) as unknown as Record<Way, Record<(typeof metrics)[number], number[]>>;
  const perFamily: (readonly [string, ...number[]])[] = [];
  let sameKind = 0;
  const sections: Section[] = [];
  for (const family of families) {
    const rows = [];
    for (let i = 0; i < limit; i++) {
      const sample = sampleOf(family, seed, i, model.size);
      const { input, output, instruction, scenes } = sample.query;
      const [reconstructed] = await model.reconstruct([output]);
      const judge = new EditJudge(scenes!, model.size, reconstructed);
      const random = Random.of(seed, "random example", family.name, i).integer(0, pool.length - 1);
      const best = retrieve(
        instruction,
        pool.map(({ pair }) => pair.instruction),
      );
      if (pool[best]!.family === family.name) sameKind++;
      const chosen = { none: [], random: [shown[random]!], retrieved: [shown[best]!] };
      const cells = [{ image: input }, { image: output }];
      for (const way of ways) {
        const id = `${family.name}/${way}-${numbered(i)}`;
        const { image } = await drawings.draw({
          id,
          seed: sample.seed,
          examples: chosen[way],
          input,
          instruction,
        });
        scores[way].success.push(judge.judge(image).success ? 1 : 0);
        scores[way].psnr.push(psnr(image, output));
        scores[way].rmse.push(rmse(image, output));
        cells.push({ image });
      }
      const { input: before, output: after } = pool[best]!.pair;
      if (i < SHOWN)
        rows.push({ label: instruction, cells: [...cells, { image: before }, { image: after }] });
    }
    const own = (way: Way) => mean(scores[way].success.slice(-limit));
    perFamily.push([family.name, ...ways.map(own)]);
    const columnTitles = ["query", "truth", ...ways, "retrieved example", ""];
    sections.push({ title: family.name, sheet: { columnTitles, rows } });
  }
  const overall = Object.fromEntries(
    ways.map((way) => [
      way,
      Object.fromEntries(metrics.map((metric) => [metric, estimate(scores[way][metric], seed)])),
    ]),
  );
  return {
    figures: {
      metric: "success",
      overall,
      differences: {
        retrievedOverNone: difference(scores.retrieved.success, scores.none.success, seed),
        retrievedOverRandom: difference(scores.retrieved.success, scores.random.success, seed),
      },
      retrievedSameFamily: sameKind / (families.length * limit),
      families: Object.fromEntries(
        perFamily.map(([name, ...values]) => [
          name,
          Object.fromEntries(ways.map((way, i) => [way, values[i]])),
        ]),
      ),
      pool: pool.length,
      n: families.length * limit,
    },
    report: [
      {
        title: "Editing",
        text: "Share of edits that succeeded by the world's own ground truth; the instruction is always given.",
        table: { columns: ["family", ...ways], rows: perFamily },
      },
      ...sections,
    ],
  };
}

/** The families that training showed whose changes are edits of a scene: judged by what the scene should be. */
function editingFamilies({ training }: SuiteContext): readonly TaskFamily[] {
  const edits = selectFamilies({ include: training.families }).filter(
    (family) => family.prototype === "editing" && isSceneEdit(family),
  );
  if (edits.length > 0) return edits;
  throw new XPromptError(
    "eval editing: expected a model whose training showed edits of scenes, got one without (measure another suite)",
  );
}

function isSceneEdit(family: TaskFamily): boolean {
  const random = Random.of("is scene edit", family.name);
  const { scenes }: Pair = family.draw(random).pair(random, 8);
  return scenes !== undefined;
}

/** The instruction that shares most words, rare ones counting more: cosine of their tf-idf vectors. */
export function mostSimilar(instruction: string, pool: readonly string[]): number {
  const wordsOf = (text: string) => new Set(text.toLowerCase().match(/[a-z0-9]+/g) ?? []);
  const documents = pool.map(wordsOf);
  const weight = (word: string) =>
    Math.log((1 + documents.length) / (1 + documents.filter((document) => document.has(word)).length)) + 1;
  const length = (words: Set<string>) =>
    Math.sqrt([...words].reduce((sum, word) => sum + weight(word) ** 2, 0));
  const asked = wordsOf(instruction);
  const similarity = documents.map((document) => {
    const shared = [...asked].filter((word) => document.has(word));
    const product = shared.reduce((sum, word) => sum + weight(word) ** 2, 0);
    return product / (length(asked) * length(document) || 1);
  });
  return similarity.indexOf(Math.max(...similarity));
}
