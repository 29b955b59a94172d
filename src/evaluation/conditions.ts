/**
 * @file The same held-out samples drawn under several conditions (with the right example, a wrong one, none, …) and
 * measured against the truth; beside them what the image tokenizer alone makes of the truth, and the picture left as
 * it was.
 */
import type { Image, SheetRow } from "../image/index.ts";
import { families, familyNamed, type Pair, Random, type TaskFamily } from "../tasks/index.ts";
import type { Shown } from "./drawings.ts";
import { EditJudge } from "./judges/edit.ts";
import { boundedPsnr, rmse } from "./metrics/pictures.ts";
import { ssim } from "./metrics/ssim.ts";
import type { Sheet } from "./report.ts";
import { numbered, type Sample, sampleOf } from "./samples.ts";
import type { SuiteContext } from "./suite.ts";

export interface Condition {
  /** How many of the sample's own pairs are shown; "wrong" for one of another task. */
  readonly examples: number | "wrong";
  /** Whether the instruction is given, in words. */
  readonly instruction: boolean;
}

/** Metrics of a picture; `success` is known for edits of a scene. */
export const metricNames = ["psnr", "ssim", "rmse", "success"] as const;
export type Metric = (typeof metricNames)[number];
type Scores = Partial<Record<Metric, number>>;

/** Conditions that nothing is drawn for: the truth through the image tokenizer, and the input as it is. */
export const baselines = ["ceiling", "unchanged"] as const;

/** Scores by condition, each a column of one value a sample. */
export class Scoreboard {
  private readonly scores = new Map<string, Scores[]>();

  add(condition: string, scores: Scores): void {
    this.scores.set(condition, [...(this.scores.get(condition) ?? []), scores]);
  }

  get conditions(): string[] {
    return [...this.scores.keys()];
  }

  /** Values of one metric, a sample each; empty where it was not measured. */
  column(condition: string, metric: Metric): number[] {
    return (this.scores.get(condition) ?? []).flatMap((scores) => scores[metric] ?? []);
  }
}

export interface Compared {
  readonly scores: Scoreboard;
  /** The first samples, to look at. */
  readonly sheet: Sheet;
}

/** Samples that a sheet shows. */
const SHOWN = 4;

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
  for (let i = 0; i < limit; i++) {
    const family = families[i % families.length]!;
    const sample = sampleOf(family, seed, i, model.size);
    const { input, output, instruction } = sample.query;
    const [reconstructed] = await model.reconstruct([output]);
    const score = scorer(sample.query, reconstructed!);
    scores.add("ceiling", score(reconstructed!));
    scores.add("unchanged", score(input));
    const shown = examplesOf(family, sample, context, i);
    const drawn: Image[] = [];
    for (const condition of names) {
      const { examples, instruction: told } = conditions[condition];
      const { image } = await drawings.draw({
        id: `${name}/${condition}-${numbered(i)}`,
        seed: sample.seed,
        examples: shown(examples),
        input,
        instruction: told ? instruction : undefined,
      });
      scores.add(condition, score(image));
      drawn.push(image);
    }
    if (rows.length < SHOWN) {
      const [example] = shown(1) as [Shown];
      const cells = [example.input, example.output, input, output, reconstructed!, ...drawn];
      rows.push({ label: instruction, cells: cells.map((image) => ({ image })) });
    }
  }
  const columnTitles = ["example", "", "query", "truth", "tokenizer", ...names];
  return { scores, sheet: { columnTitles, rows } };
}

/** Measures pictures against the pair's truth. */
function scorer({ output, scenes }: Pair, reconstructed: Image): (image: Image) => Scores {
  const judge = scenes && new EditJudge(scenes, output.width, reconstructed);
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
