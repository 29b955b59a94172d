/**
 * @file The same held-out samples drawn under several conditions (with the right example, a wrong one, without any, …)
 * and measured against the truth. The baselines are measured on the same samples.
 */
import type { Image, Sheet, SheetRow } from "../image/index.ts";
import { families, familyNamed, type Pair, Random, type TaskFamily } from "../tasks/index.ts";
import { classicalFilter, colourFit } from "./baselines/index.ts";
import type { Shown } from "./drawings.ts";
import { EditJudge } from "./judges/edit.ts";
import { boundedPsnr, rmse } from "./metrics/pictures.ts";
import { ssim } from "./metrics/ssim.ts";
import { numbered, type Sample, sampleOf } from "./samples.ts";
import { Scoreboard, type Scores } from "./scores.ts";
import type { SuiteContext } from "./suite.ts";

export interface Condition {
  /** How many of the sample's own pairs are shown; "wrong" for one of another task. */
  readonly examples: number | "wrong";
  /** Whether the instruction is given, in words. */
  readonly instruction: boolean;
}

export interface Compared {
  /** By condition and baseline. Colour fits of more than one example are `colourFit2` and so on. */
  readonly scores: Scoreboard;
  /** The first samples, to look at. */
  readonly sheet: Sheet;
}

/** Samples that a sheet shows. */
const SHOWN = 4;

/** The baseline's name for so many examples. */
export const colourFitOf = (examples: number): string =>
  examples === 1 ? "colourFit" : `colourFit${examples}`;

/**
 * Draws and measures `context.limit` samples of some families, which take turns.
 * @param name of the task: part of the names of pictures
 */
export async function compareConditions<C extends string>(
  name: string,
  families: readonly TaskFamily[],
  conditions: Readonly<Record<C, Condition>>,
  context: SuiteContext,
): Promise<Compared> {
  const { model, drawings, limit, seed } = context;
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
      const { examples, instruction: told } = conditions[condition];
      const { image } = await drawings.draw({
        id: `${name}/${condition}-${numbered(i)}`,
        seed: sample.seed,
        examples: shown(examples),
        input,
        instruction: told ? instruction : undefined,
      });
      pictures.set(condition, image);
    }
    const score = scorer(sample.query, roundTrip!);
    for (const [condition, image] of pictures) scores.add(condition, score(image));
    if (rows.length < SHOWN) {
      const [example] = shown(1) as [Shown];
      const drawn = names.map((condition) => pictures.get(condition)!);
      const cells = [example.input, example.output, input, output, pictures.get("colourFit")!, roundTrip!];
      rows.push({ label: instruction, cells: [...cells, ...drawn].map((image) => ({ image })) });
    }
  }
  const columnTitles = ["example", "", "query", "truth", "colour fit", "round trip", ...names];
  return { scores, sheet: { columnTitles, rows } };
}

/** The numbers of examples that colours are fitted to: 1, and all that the conditions show. */
function fittedCounts(conditions: readonly Condition[]): number[] {
  const counts = conditions.map(({ examples }) => examples);
  return [...new Set([1, ...counts])].filter((count) => count !== "wrong" && count > 0) as number[];
}

/** Measures pictures against the pair's truth. */
function scorer({ output, scenes }: Pair, roundTrip: Image): (image: Image) => Scores {
  const judge = scenes && new EditJudge(scenes, output.width, roundTrip);
  return (image) => ({
    psnr: boundedPsnr(image, output),
    ssim: ssim(image, output),
    rmse: rmse(image, output),
    ...(judge && { success: judge.judge(image).success ? 1 : 0 }),
  });
}

/** The sample's own pairs, each made once; or one of a task of another family, that training showed if it showed any. */
export function examplesOf(
  family: TaskFamily,
  sample: Sample,
  { training, seed, model }: Pick<SuiteContext, "training" | "seed" | "model">,
  index: number,
): (wanted: Condition["examples"]) => Shown[] {
  const made: Shown[] = [];
  let wrong: Shown | undefined;
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

/** A pair of a family that training showed, neither this one nor this one reversed; of any family where it showed no other. */
function wrongExample(family: TaskFamily, seen: readonly string[], random: Random, size: number): Shown {
  const isOther = ({ name, reverseOf }: TaskFamily) =>
    name !== family.name && name !== family.reverseOf && reverseOf !== family.name;
  const shown = seen.map(familyNamed).filter(isOther);
  const others = shown.length > 0 ? shown : families.filter(isOther);
  const { input, output } = random.pick(others).draw(random).pair(random, size);
  return { input, output };
}
