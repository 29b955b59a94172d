/** @file Text to image with GenEval's method on our scenes: does the picture show everything in the prompt? */
import { rounded, type SheetCell } from "../../image/index.ts";
import { Random, renderScene } from "../../tasks/index.ts";
import { type Detection, detectObjects } from "../judges/detect.ts";
import { plain, withInterval } from "../lines.ts";
import {
  type Columns,
  type Estimate,
  type Interval,
  intervalOf,
  mean,
  resampled,
  shareInterval,
} from "../metrics/bootstrap.ts";
import { numbered } from "../samples.ts";
import type { Suite, SuiteContext, SuiteOutcome } from "../suite.ts";
import { drawPrompt, isRight, type Kind, kinds, type Prompt, sceneOf } from "./geneval-prompts.ts";

export const textToImage: Suite = {
  name: "text-to-image",
  description: "GenEval's six kinds of prompts on our scenes: objects, counts, colours and positions",
  limit: 32,
  run: measure,
};

/** Pictures per kind in the report. */
const SHOWN = 8;

async function measure({ model, generations, limit, seed }: SuiteContext): Promise<SuiteOutcome> {
  generations.expect(kinds.length * limit);
  const right = new Map<Kind, number[]>();
  const ceiling = new Map<Kind, number[]>();
  /** The share of the other prompts of the kind that a picture fits. With one prompt of each kind there is no other. */
  const chance = new Map<Kind, number[]>();
  const rows = [];
  for (const kind of kinds) {
    const verdicts: number[] = [];
    const ofTruth: number[] = [];
    const prompts: Prompt[] = [];
    const detections: Detection[][] = [];
    const cells: SheetCell[] = [];
    for (let i = 0; i < limit; i++) {
      const random = Random.of(seed, "text to image", kind, i);
      const prompt = drawPrompt(kind, random);
      const { image } = await generations.generate({
        id: `${kind}/${numbered(i)}`,
        seed: random.integer(0, 2 ** 31 - 1),
        instruction: prompt.text,
      });
      const found = detectObjects(image);
      prompts.push(prompt);
      detections.push(found);
      const verdict = isRight(prompt, found);
      verdicts.push(verdict ? 1 : 0);
      const scene = sceneOf(prompt, Random.of(seed, "scene of", kind, i));
      const truth = rounded(renderScene(scene, model.size).image);
      const [reconstructed] = await model.reconstruct([truth]);
      ofTruth.push(isRight(prompt, detectObjects(rounded(reconstructed!))) ? 1 : 0);
      if (cells.length < SHOWN)
        cells.push({
          image,
          caption: `${verdict ? "right" : "wrong"}: ${prompt.text}; found: ${namesOf(found)}`,
        });
    }
    right.set(kind, verdicts);
    ceiling.set(kind, ofTruth);
    if (limit > 1)
      chance.set(
        kind,
        detections.map((found, i) =>
          mean(prompts.filter((_, j) => j !== i).map((other) => (isRight(other, found) ? 1 : 0))),
        ),
      );
    rows.push({ label: kind, cells });
  }
  const categories = Object.fromEntries(
    kinds.map((kind) => {
      const verdicts = right.get(kind)!;
      const summary = { mean: mean(verdicts), ci: shareInterval(verdicts), n: verdicts.length };
      const byChance = chance.get(kind);
      return [
        kind,
        { ...summary, chance: byChance ? mean(byChance) : null, ceiling: mean(ceiling.get(kind)!) },
      ];
    }),
  );
  const meanOf = (figure: "mean" | "chance" | "ceiling") =>
    mean(kinds.map((kind) => categories[kind]![figure] ?? 0));
  const overall = {
    right: meanOf("mean"),
    chance: limit > 1 ? meanOf("chance") : null,
    ceiling: meanOf("ceiling"),
  };
  const ci = meanOfShares(kinds.map((kind) => categories[kind]!));
  const overChance =
    limit > 1
      ? meanDifference(
          kinds.map((kind) => [right.get(kind)!, chance.get(kind)!]),
          seed,
        )
      : undefined;
  const table = {
    columns: ["kind", "right", "low", "high", "n", "chance", "ceiling"],
    rows: [
      ["overall", overall.right, ...ci, kinds.length * limit, overall.chance, overall.ceiling],
      ...kinds.map((kind) => {
        const { mean, ci, n, chance, ceiling } = categories[kind]!;
        return [kind, mean, ...ci, n, chance, ceiling];
      }),
    ],
  };
  return {
    figures: {
      overall: overall.right,
      ci,
      chance: overall.chance,
      overChance: overChance ?? null,
      ceiling: overall.ceiling,
      categories,
    },
    summary: [
      `pictures with everything in the prompt: ${withInterval({ mean: overall.right, ci }, 2)}; in the prompt of another (chance): ${plain(overall.chance ?? undefined, 2)}, difference ${withInterval(overChance, 2)}; true scenes through the image tokenizer: ${plain(overall.ceiling, 2)}`,
      kinds
        .map((kind) => {
          const { mean, chance } = categories[kind]!;
          return `${kind} ${plain(mean, 2)} (chance ${plain(chance ?? undefined, 2)})`;
        })
        .join(", "),
    ],
    report: [
      {
        title: "Text to image",
        text:
          "Share of pictures with everything in the prompt; overall is the mean of the six kinds. chance: the same, over the " +
          "prompts of all other pictures of the kind; ceiling: for true scenes through the image tokenizer.",
        table,
      },
      { title: "Pictures", sheet: { columnTitles: [], rows } },
    ],
  };
}

/** The interval of the mean of independent shares, from their own intervals (MOVER; Zou and Donner, 2008). */
function meanOfShares(shares: readonly Estimate[]): Interval {
  const reach = (end: 0 | 1) => Math.hypot(...shares.map(({ mean, ci }) => ci[end] - mean)) / shares.length;
  const centre = mean(shares.map((share) => share.mean));
  return [centre - reach(0), centre + reach(1)];
}

/** The mean over groups of the difference of two paired columns. Its interval resamples within the groups. */
function meanDifference(groups: readonly Columns[], seed: number): Estimate {
  const of = (resample: readonly Columns[]) => mean(resample.map(([a, b]) => mean(a!) - mean(b!)));
  return { mean: of(groups), ci: intervalOf(resampled(groups, of, seed)) };
}

const namesOf = (found: readonly Detection[]): string =>
  found.map(({ color, shape }) => `${color} ${shape}`).join(", ") || "nothing";
