/**
 * @file Generates and measures the same held-out samples under several conditions: with the right example, with a wrong
 * one, without examples, … The baselines are measured on the same samples.
 */
import { type Image, rounded, type Sheet, type SheetRow } from "../image/index.ts";
import { families, type Pair, Random, type TaskFamily } from "../tasks/index.ts";
import { classicalFilter, colourFit } from "./baselines/index.ts";
import type { ExamplePair } from "./generations.ts";
import { EditJudge } from "./judges/edit.ts";
import { boundedPsnr, rmse } from "./metrics/pictures.ts";
import { ssim } from "./metrics/ssim.ts";
import { in8Bits, numbered, type Sample, sampleOf } from "./samples.ts";
import { Scoreboard, type Scores } from "./scores.ts";
import type { SuiteContext } from "./suite.ts";

export interface Condition {
  /** Number of examples of the sample's task; "wrong" for one example of another task. */
  readonly examples: number | "wrong";
  /** Whether the prompt contains the instruction. */
  readonly instruction: boolean;
}

export interface Compared {
  /** Scores by condition and baseline. Colour fits of more than one example are named `colourFit2` and so on. */
  readonly scores: Scoreboard;
  /** Pictures of the first samples. */
  readonly sheet: Sheet;
}

/** Samples per sheet. */
const SHOWN = 4;

/** The name of the colour fit with this number of examples. */
export const colourFitOf = (examples: number): string =>
  examples === 1 ? "colourFit" : `colourFit${examples}`;

/**
 * Generates and measures `context.limit` samples, of each family in turn.
 * @param name name of the task, part of the pictures' ids
 */
export async function compareConditions<C extends string>(
  name: string,
  families: readonly TaskFamily[],
  conditions: Readonly<Record<C, Condition>>,
  context: SuiteContext,
): Promise<Compared> {
  const { model, generations, limit, seed } = context;
  const scores = new Scoreboard();
  const rows: SheetRow[] = [];
  const names = Object.keys(conditions) as C[];
  const counts = fittedCounts(Object.values(conditions));
  for (let i = 0; i < limit; i++) {
    const family = families[i % families.length]!;
    const sample = sampleOf(family, seed, i, model.size);
    const { input, output, instruction } = sample.query;
    const [roundTrip] = await model.reconstruct([output]);
    const shown = examplesOf(family, sample, context, i);
    const pictures = new Map<string, Image>([["unchanged", input]]);
    for (const count of counts) pictures.set(colourFitOf(count), colourFit(shown(count), input));
    const filtered = await classicalFilter(family.name)?.apply(input);
    if (filtered) pictures.set("classical", filtered);
    pictures.set("roundTrip", roundTrip!);
    for (const condition of names) {
      const { examples, instruction: withInstruction } = conditions[condition];
      const { image } = await generations.generate({
        id: `${name}/${condition}-${numbered(i)}`,
        seed: sample.seed,
        examples: shown(examples),
        input,
        instruction: withInstruction ? instruction : undefined,
      });
      pictures.set(condition, image);
    }
    const score = scorer(sample.query, roundTrip!);
    for (const [condition, image] of pictures) scores.add(condition, score(image));
    if (rows.length < SHOWN) {
      const [example] = shown(1) as [ExamplePair];
      const results = names.map((condition) => pictures.get(condition)!);
      const cells = [example.input, example.output, input, output, pictures.get("colourFit")!, roundTrip!];
      rows.push({ label: instruction, cells: [...cells, ...results].map((image) => ({ image })) });
    }
  }
  const columnTitles = ["example", "", "query", "truth", "colour fit", "round trip", ...names];
  return { scores, sheet: { columnTitles, rows } };
}

/** The numbers of examples for colour fits: 1, and those of the conditions. */
function fittedCounts(conditions: readonly Condition[]): number[] {
  const counts = conditions.map(({ examples }) => examples);
  return [...new Set([1, ...counts])].filter((count) => count !== "wrong" && count > 0) as number[];
}

/** Returns a function that measures pictures, in 8 bits, against the pair's truth. */
export function scorer({ output, scenes }: Pair, roundTrip: Image): (image: Image) => Scores {
  const judge = scenes && new EditJudge(scenes, output.width, roundTrip);
  return (answer) => {
    const image = rounded(answer);
    return {
      psnr: boundedPsnr(image, output),
      ssim: ssim(image, output),
      rmse: rmse(image, output),
      ...(judge && { success: judge.judge(image).success ? 1 : 0 }),
    };
  };
}

/** Returns a function that makes the examples of a condition. Each pair is made once. */
export function examplesOf(
  family: TaskFamily,
  sample: Sample,
  { training, seed, model }: Pick<SuiteContext, "training" | "seed" | "model">,
  index: number,
): (wanted: Condition["examples"]) => ExamplePair[] {
  const made: ExamplePair[] = [];
  let wrong: ExamplePair | undefined;
  return (wanted) => {
    if (wanted === "wrong") {
      wrong ??= wrongExample(
        family,
        training.families,
        Random.of(seed, "wrong", family.name, index),
        model.size,
      );
      return [wrong];
    }
    while (made.length < wanted) {
      const { input, output } = sample.example(made.length);
      made.push({ input, output });
    }
    return made.slice(0, wanted);
  };
}

/** A pair of another trained family, but not of the reverse of `family`. Falls back to families that were not trained on. */
function wrongExample(
  family: TaskFamily,
  seen: readonly TaskFamily[],
  random: Random,
  size: number,
): ExamplePair {
  const isOther = ({ name, reverseOf }: TaskFamily) =>
    name !== family.name && name !== family.reverseOf && reverseOf !== family.name;
  const shown = seen.filter(isOther);
  const others = shown.length > 0 ? shown : families.filter(isOther);
  const { input, output } = in8Bits(random.pick(others).draw(random).pair(random, size));
  return { input, output };
}
