/**
 * @file Descriptions of changes: the model describes pairs of every family. Kind of change, objects, attributes and
 * relations in the description are judged against the truth.
 */
import { familyNamed, heldOutOfScenes, Random, type TaskFamily } from "../../tasks/index.ts";
import { aspects, type Judgement, judgeWords, type Phrasings } from "../judges/words.ts";
import { percent } from "../lines.ts";
import { type Interval, mean, shareInterval } from "../metrics/bootstrap.ts";
import { SampleCounter } from "../sample-counter.ts";
import { sampleOf } from "../samples.ts";
import type { Suite, SuiteContext, SuiteOutcome } from "../suite.ts";
import { hasSeen } from "../training-facts.ts";

const fields = ["kind", ...aspects] as const;
/** Example phrasings per family. */
const PHRASINGS = 24;

export const describe: Suite = {
  name: "describe",
  description: "descriptions of changes: kind of change, objects, attributes and relations right",
  limit: 4,
  generatesNothing: true,
  run: measure,
};

async function measure(context: SuiteContext): Promise<SuiteOutcome> {
  const { model, training, limit, seed, signal } = context;
  const unseen = heldOutOfScenes.filter((name) => !hasSeen(training, name)).map(familyNamed);
  const described = [...training.families, ...unseen];
  const phrasings: Phrasings = new Map(described.map((family) => [family.name, phrasingsOf(family, seed)]));
  const judged = new Map<string, Judgement[]>();
  const all: { readonly name: string; readonly text: string; readonly otherTruth: string }[] = [];
  const rows: string[][] = [];
  using counter = new SampleCounter("describe", described.length * limit, context);
  for (const family of described) {
    const { name } = family;
    const judgements: Judgement[] = [];
    for (let i = 0; i < limit; i++) {
      const { query } = sampleOf(family, seed, i, model.size);
      const text = await model.describe({ input: query.input, output: query.output }, { signal });
      judgements.push(judgeWords(text, query.difference, name, phrasings));
      const other = sampleOf(family, seed, limit + i, model.size);
      all.push({ name, text, otherTruth: other.query.difference });
      if (i === 0) rows.push([name, text, query.difference]);
      counter.next();
    }
    judged.set(name, judgements);
  }
  const ofGroup = (group: readonly TaskFamily[]) => sharesOf(group.flatMap(({ name }) => judged.get(name)!));
  // By chance: the kind of the next family, if there is another, and the words of another pair of the same family.
  const trained = all.slice(0, training.families.length * limit);
  const byChance = trained.map(({ name, text, otherTruth }, i): Partial<Judgement> => {
    const nextKind = trained[(i + limit) % trained.length]!.name;
    const { kind, ...words } = judgeWords(text, otherTruth, nextKind, phrasings);
    return { ...words, ...(nextKind !== name && { kind }) };
  });
  const figures = {
    overall: ofGroup(training.families),
    chance: sharesOf(byChance),
    unseen: unseen.length > 0 ? ofGroup(unseen) : null,
    families: Object.fromEntries([...judged].map(([name, each]) => [name, sharesOf(each)])),
    n: limit,
  };
  const shares = [...judged].map(([name, each]) => {
    const made = sharesOf(each);
    return [name, ...fields.map((field) => made[field]?.share ?? "–")];
  });
  const chances = ["by chance", ...fields.map((field) => figures.chance[field]?.share ?? "–")];
  const text =
    "Shares that are right. kind: the wording is most similar to that of the right family; object, attribute, relation: " +
    "the words are exactly those of the truth, if it has any. Chance: the kind of another family, and the words of " +
    "another pair of the same family.";
  const percents = fields.flatMap((field) => {
    const [share, chance] = [figures.overall[field], figures.chance[field]];
    const beside = chance ? ` (by chance ${Math.round(100 * chance.share)}%)` : "";
    return share ? `${field} ${percent({ mean: share.share, ci: share.ci })} of ${share.n}${beside}` : [];
  });
  return {
    figures,
    summary: [`right in descriptions of trained families: ${percents.join(", ")}`],
    report: [
      { title: "Descriptions", text, table: { columns: ["family", ...fields], rows: [...shares, chances] } },
      {
        title: "Descriptions by the model",
        text: "The first pair of each family.",
        table: { columns: ["family", "description", "truth"], rows },
      },
    ],
  };
}

function phrasingsOf(family: TaskFamily, seed: number): string[] {
  const phrasings = Array.from({ length: PHRASINGS }, (_, i) => {
    const random = Random.of(seed, "sayings", family.name, i);
    return family.draw(random).pair(random, 8).difference;
  });
  return [...new Set(phrasings)];
}

type Shares = Readonly<Partial<Record<(typeof fields)[number], { share: number; n: number; ci: Interval }>>>;

/** The share of right judgements per field, among the judgements that have the field. */
function sharesOf(judgements: readonly Partial<Judgement>[]): Shares {
  const entries = fields.flatMap((field) => {
    const found = judgements.flatMap((each) => (each[field] === undefined ? [] : [Number(each[field])]));
    return found.length === 0
      ? []
      : [[field, { share: mean(found), n: found.length, ci: shareInterval(found) }] as const];
  });
  return Object.fromEntries(entries);
}
