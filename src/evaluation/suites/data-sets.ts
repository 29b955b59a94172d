/**
 * @file Public data sets, as downloaded. Each record of the evaluated split is generated from the instruction alone, with
 * a random example, and with an example that a library retrieves. Measured by the set's protocol at the model's size.
 */
import { XPromptError } from "../../errors.ts";
import { type Image, rounded, type SheetRow } from "../../image/index.ts";
import {
  type LoadedPair,
  MissingSplit,
  openPairs,
  type PairSource,
  type PairsSettings,
} from "../../tasks/datasets/index.ts";
import { Random } from "../../tasks/index.ts";
import { baselines, classicalFilter, colourFit } from "../baselines/index.ts";
import { ExamplePool } from "../example-pool.ts";
import type { ExamplePair } from "../generations.ts";
import { plain } from "../lines.ts";
import { numbered } from "../samples.ts";
import type { Suite, SuiteContext, SuiteOutcome } from "../suite.ts";
import { type Meter, type Protocol, protocols, type Truth } from "./protocols.ts";

interface DataSet {
  readonly name: string;
  readonly description: string;
  readonly format: NonNullable<PairsSettings["format"]>;
  /** The evaluated split, if the files have splits. */
  readonly split: string;
  readonly protocol: keyof typeof protocols;
  /** The family whose classical filter applies. */
  readonly restores?: string;
  /** Whether instructions differ, so that retrieval makes sense. */
  readonly retrieval?: boolean;
}

const dataSets: readonly DataSet[] = [
  {
    name: "lol",
    description: "low-light enhancement on LOL: PSNR, SSIM",
    format: "lol",
    split: "test",
    protocol: "restoration",
    restores: "lowLightEnhancement",
  },
  {
    name: "rain100",
    description: "deraining on Rain100L or Rain100H: PSNR, SSIM",
    format: "rain",
    split: "test",
    protocol: "restoration",
    restores: "derain",
  },
  {
    name: "gopro",
    description: "deblurring on GoPro: PSNR, SSIM",
    format: "gopro",
    split: "test",
    protocol: "restoration",
    restores: "motionDeblur",
  },
  {
    name: "nyuv2",
    description: "depth on NYUv2: RMSE in metres, Eigen's crop",
    format: "nyuv2",
    split: "test",
    protocol: "depth",
  },
  {
    name: "ade20k",
    description: "segmentation on ADE20K: mIoU over 150 classes",
    format: "ade20k",
    split: "validation",
    protocol: "labels",
  },
  {
    name: "magicbrush",
    description: "editing on MagicBrush: L1, L2, PSNR; words alone, with a random, with a retrieved example",
    format: "magicbrush",
    split: "dev",
    protocol: "editing",
    retrieval: true,
  },
];

/** Number of training records that serve as examples. */
const POOL = 256;
const SHOWN = 12;

export const dataSetSuites: readonly Suite[] = dataSets.map((set) => ({
  name: set.name,
  description: `${set.description} (--data)`,
  limit: 100,
  needs: ["data"],
  run: (context) => measure(set, context),
}));

interface Query extends LoadedPair {
  readonly truth: Truth;
}

interface Judged {
  readonly split: PairSource;
  readonly queries: readonly Query[];
  /** Pairs of the training split, as examples. */
  readonly pool: readonly Example[];
  /** There is no training split: examples are other records, perhaps neighbours of the query. */
  readonly ownSplit: boolean;
  readonly library?: ExamplePool<Example>;
}

async function measure(set: DataSet, context: SuiteContext): Promise<SuiteOutcome> {
  const { model, limit, options, seed } = context;
  const split = await openMeasured(set, options.data!, seed);
  const training = await openTraining(set, options.data!, seed);
  const pool = (await someOf(training.source, POOL, model.size)).map(asExample);
  const queries = await withTruth(
    protocols[set.protocol],
    split,
    await someOf(split, limit, model.size),
    model.size,
  );
  const library = set.retrieval ? await ExamplePool.open(model, pool) : undefined;
  try {
    return await compare(set, context, { split, queries, pool, library, ownSplit: training.isWhole });
  } finally {
    await library?.close();
  }
}

async function compare(
  set: DataSet,
  { model, generations, seed, options }: SuiteContext,
  { split, queries, pool, library, ownSplit }: Judged,
): Promise<SuiteOutcome> {
  const ways = ["wordsAlone", "random", ...(set.retrieval ? ["retrieved"] : [])] as const;
  const filter = set.restores === undefined ? undefined : classicalFilter(set.restores);
  const baselineColumns = baselines.filter((name) => name !== "classical" || filter);
  generations.expect(queries.length * ways.length);
  const meters = new Map<string, Meter>(
    [...baselineColumns, ...ways].map((way) => [way, protocols[set.protocol].meter()]),
  );
  const rows: SheetRow[] = [];
  for (const [i, query] of queries.entries()) {
    const others = pool.filter(({ id }) => id !== query.id);
    if (others.length === 0)
      throw new XPromptError(
        `eval ${set.name}: expected at least two records in ${options.data}, one of them as example, got one (add records of the set)`,
      );
    const random = Random.of(seed, set.name, query.id);
    const seedOfPicture = random.integer(0, 2 ** 31 - 1);
    const examples: Record<string, ExamplePair[]> = { wordsAlone: [], random: [random.pick(others)] };
    if (library) {
      const best = await library.nearest(
        { instruction: query.instruction, input: query.input! },
        "retrieved",
        ({ id }) => id !== query.id,
      );
      examples.retrieved = best ? [best] : [];
    }
    const [roundTrip] = await model.reconstruct([query.output]);
    const measure = (column: string, image: Image) => meters.get(column)!.add(rounded(image), query.truth);
    measure("unchanged", query.input!);
    const best = examples.retrieved ?? [];
    measure("colourFit", colourFit(best.length > 0 ? best : examples.random!, query.input!));
    if (filter) measure("classical", await filter.apply(query.input!));
    measure("roundTrip", roundTrip!);
    const cells = [{ image: query.input! }, { image: query.output }, { image: roundTrip! }];
    for (const way of ways) {
      const { image } = await generations.generate({
        id: `${way}/${numbered(i)}`,
        seed: seedOfPicture,
        examples: examples[way],
        input: query.input,
        instruction: query.instruction,
      });
      measure(way, image);
      cells.push({ image });
    }
    if (rows.length < SHOWN) rows.push({ label: query.instruction, cells });
  }
  const conditions = Object.fromEntries([...meters].map(([way, meter]) => [way, meter.figures(seed)]));
  const metrics = Object.keys(conditions.wordsAlone!);
  return {
    figures: {
      conditions,
      n: queries.length,
      unjudged: meters.get("wordsAlone")!.unjudged,
      skipped: split.defects.total,
      examplesFrom: ownSplit ? "all" : "train",
      size: model.size,
    },
    summary: metrics.map((metric) => {
      const values = Object.entries(conditions).map(
        ([way, figures]) => `${way} ${plain(figures[metric]?.mean, 3)}`,
      );
      return `${metric} over ${queries.length} pictures: ${values.join(", ")}`;
    }),
    report: [
      {
        title: set.name,
        text: `wordsAlone: the instruction without an example; random, retrieved: with one example of ${ownSplit ? `all records, because ${options.data} has no training split: it may be a near copy of the query` : "the training split"}; unchanged: the query itself; colourFit: least squares from the random example's colours; classical: one filter, fixed for the set; roundTrip: the truth through the image tokenizer.`,
        table: {
          columns: ["condition", ...metrics],
          rows: Object.entries(conditions).map(([way, figures]) => [
            way,
            ...metrics.map((metric) => figures[metric]?.mean ?? null),
          ]),
        },
        sheet: { columnTitles: ["query", "truth", "round trip", ...ways], rows },
      },
    ],
  };
}

/** Opens the evaluated split, or all records if there are no splits. @throws XPromptError when there are only others */
const openMeasured = async (set: DataSet, path: string, seed: number): Promise<PairSource> =>
  (await openSplit(set, path, set.split, seed, ({ hasOthers }) => !hasOthers)).source;

/** Opens the training split, or all records if there is none. */
const openTraining = (set: DataSet, path: string, seed: number) =>
  openSplit(set, path, "train", seed, () => true);

/** Opens a split, or all records if the split is missing and `mayMiss` allows it. */
async function openSplit(
  { format }: DataSet,
  path: string,
  split: string,
  seed: number,
  mayMiss: (error: MissingSplit) => boolean,
): Promise<{ readonly source: PairSource; readonly isWhole: boolean }> {
  try {
    return { source: await openPairs({ path, format, split, seed }), isWhole: false };
  } catch (error) {
    if (error instanceof MissingSplit && mayMiss(error))
      return { source: await openPairs({ path, format, split: "all", seed }), isWhole: true };
    throw error;
  }
}

/** Pairs with an input picture, in the set's shuffled order. */
async function someOf(source: PairSource, count: number, size: number): Promise<LoadedPair[]> {
  const pairs: LoadedPair[] = [];
  for await (const pair of source.stream({ size, epochs: 1 })) {
    if (pair.input) pairs.push(pair);
    if (pairs.length === count) break;
  }
  return pairs;
}

/** Adds the truth to the pairs, including stored values if the protocol needs them. */
async function withTruth(
  { stored }: Protocol,
  source: PairSource,
  pairs: readonly LoadedPair[],
  size: number,
): Promise<Query[]> {
  const truths = new Map(pairs.map(({ id, output }) => [id, { picture: output }] as [string, Truth]));
  if (stored)
    for await (const record of source.records()) {
      const truth = truths.get(record.id);
      if (truth) truths.set(record.id, { ...truth, ...(await stored(record, size)) });
    }
  return pairs.map((pair) => ({ ...pair, truth: truths.get(pair.id)! }));
}

interface Example extends ExamplePair {
  readonly id: string;
}

const asExample = ({ id, input, output, instruction }: LoadedPair): Example => ({
  id,
  input: input!,
  output,
  instruction,
});
