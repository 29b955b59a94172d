/** @file Text to image with GenEval's method on our scenes: does the picture show everything in the prompt? */
import type { SheetCell } from "../../image/index.ts";
import { Random, renderScene } from "../../tasks/index.ts";
import { type Detection, detectObjects } from "../judges/detect.ts";
import { plain } from "../lines.ts";
import { mean, meanInterval } from "../metrics/bootstrap.ts";
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
  /** With one prompt of each kind there is no other. */
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
      const truth = renderScene(sceneOf(prompt, Random.of(seed, "scene of", kind, i)), model.size).image;
      const [reconstructed] = await model.reconstruct([truth]);
      ofTruth.push(isRight(prompt, detectObjects(reconstructed!)) ? 1 : 0);
      if (cells.length < SHOWN)
        cells.push({
          image,
          caption: `${verdict ? "right" : "wrong"}: ${prompt.text}; found: ${namesOf(found)}`,
        });
    }
    right.set(kind, verdicts);
    ceiling.set(kind, ofTruth);
    // By chance: each picture, judged by the prompt of the next one of its kind.
    const others = [...prompts.slice(1), prompts[0]!];
    if (limit > 1)
      chance.set(
        kind,
        detections.map((found, i) => (isRight(others[i]!, found) ? 1 : 0)),
      );
    rows.push({ label: kind, cells });
  }
  const categories = Object.fromEntries(
    kinds.map((kind) => {
      const verdicts = right.get(kind)!;
      const summary = { mean: mean(verdicts), ci: meanInterval(verdicts, seed), n: verdicts.length };
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
  const table = {
    columns: ["kind", "right", "low", "high", "n", "chance", "ceiling"],
    rows: [
      ["overall", overall.right, null, null, null, overall.chance, overall.ceiling],
      ...kinds.map((kind) => {
        const { mean, ci, n, chance, ceiling } = categories[kind]!;
        return [kind, mean, ...ci, n, chance, ceiling];
      }),
    ],
  };
  return {
    figures: { overall: overall.right, chance: overall.chance, ceiling: overall.ceiling, categories },
    summary: [
      `pictures with everything in the prompt: ${plain(overall.right, 2)} (by chance, in the prompt of another: ${plain(overall.chance ?? undefined, 2)}; true scenes through the image tokenizer: ${plain(overall.ceiling, 2)})`,
      kinds.map((kind) => `${kind} ${plain(categories[kind]!.mean, 2)}`).join(", "),
    ],
    report: [
      {
        title: "Text to image",
        text:
          "Share of pictures with everything in the prompt; overall is the mean of the six kinds. chance: the same, with the " +
          "prompt of another picture of the kind; ceiling: for true scenes through the image tokenizer.",
        table,
      },
      { title: "Pictures", sheet: { columnTitles: [], rows } },
    ],
  };
}

const namesOf = (found: readonly Detection[]): string =>
  found.map(({ color, shape }) => `${color} ${shape}`).join(", ") || "nothing";
