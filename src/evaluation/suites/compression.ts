/**
 * @file Cost and benefit of examples: cache slots and bytes, generation time, NLL of the truth and distance to it, for 1,
 * 2, 4 and 8 examples. Compares with the cost of uncompressed examples, and with models that have another number of XP
 * tokens or the plain causal mask.
 */
import { z } from "zod";
import { headWidth } from "../../chameleon/model/transformer.ts";
import { type Image, rounded } from "../../image/index.ts";
import { Random } from "../../tasks/index.ts";
import { exampleMasks } from "../../xprompt/sequence.ts";
import { colourFit } from "../baselines/index.ts";
import { type Belonging, Comparison, type Stored, storedInterval } from "../comparison.ts";
import { colourFitOf } from "../conditions.ts";
import type { ExamplePair } from "../generations.ts";
import { plain } from "../lines.ts";
import { mean } from "../metrics/bootstrap.ts";
import { boundedPsnr, rmse } from "../metrics/pictures.ts";
import { numbered, sampleOf } from "../samples.ts";
import { Scoreboard } from "../scores.ts";
import type { Suite, SuiteContext, SuiteOutcome } from "../suite.ts";
import { estimate } from "../summary.ts";
import { trainedFamilies } from "../training-facts.ts";

const counts = [1, 2, 4, 8] as const;
const BYTES_PER_NUMBER = 4;

/** Cost of a number of examples, and quality of the results. */
const costsSchema = z.object({
  slots: z.int(),
  bytes: z.int(),
  slotsUncompressed: z.int(),
  /** Median generation time, without compressing the examples. */
  milliseconds: z.number(),
  /** NLL of the truth in nats per code. */
  nats: z.number(),
  psnr: z.number(),
  rmse: z.number(),
  ci: z.record(z.enum(["nats", "psnr", "rmse"]), storedInterval),
});
type Costs = z.output<typeof costsSchema>;

const measuredSchema = z.object({
  xpTokens: z.int().min(1),
  mask: z.enum(exampleMasks),
  /** By number of examples. */
  examples: z.record(z.string(), costsSchema),
  /** Compression ratio: uncompressed slots per kept slot. */
  ratio: z.number(),
  /** Baselines on the same samples. Figures of earlier versions have none. */
  baselines: z.record(z.string(), z.object({ psnr: z.number(), rmse: z.number() })).optional(),
  n: z.int().min(1),
});
type Measured = z.output<typeof measuredSchema>;

const sweep = new Comparison("compression", measuredSchema);

export const compression: Suite = {
  name: "compression",
  description:
    "cache slots, bytes, time and quality against the number of examples, compressed to S slots each, and against S",
  limit: 32,
  comparisons: ["sweep"],
  run: (context) => (context.options.as ? measureComparison(context) : measure(context)),
};

async function measure(context: SuiteContext): Promise<SuiteOutcome> {
  const stored = await sweep.read(context.folder);
  const measured = await measureCounts(context);
  const rows = Object.values(stored).filter((each) => each !== undefined);
  const compared = rows.toSorted((a, b) => slotsOf(a) - slotsOf(b));
  return {
    figures: { ...measured, sweep: compared.map((each) => ({ stored: true, ...each })) },
    summary: linesOf(measured),
    report: [reportOf(measured), ...(compared.length > 0 ? [sweepReport(compared)] : [])],
  };
}

const slotsOf = ({ examples }: Measured): number => examples["1"]!.slots;

/** Measures a comparison model with another S or mask, and stores its figures. */
async function measureComparison(context: SuiteContext): Promise<SuiteOutcome> {
  const measured = await measureCounts(context);
  const name = measured.mask === "causal" ? "causal" : `xp-${measured.xpTokens}`;
  const figures = await sweep.store(name, measured, context);
  return { figures, report: [reportOf(measured)], summary: linesOf(measured) };
}

async function measureCounts({ generations, limit, seed, model, training }: SuiteContext): Promise<Measured> {
  const trained = trainedFamilies("compression", training);
  generations.expect(limit * counts.length);
  const columns = new Map(counts.map((count) => [count, new Columns()]));
  const baselineScores = new Scoreboard();
  for (let i = 0; i < limit; i++) {
    const family = Random.of(seed, "compression", i).pick(trained);
    const sample = sampleOf(family, seed, i, model.size);
    const { input, output } = sample.query;
    const examples = Array.from({ length: Math.max(...counts) }, (_, j): ExamplePair => {
      const { input, output } = sample.example(j);
      return { input, output };
    });
    const scoresOf = (answer: Image) => {
      const image = rounded(answer);
      return { psnr: boundedPsnr(image, output), rmse: rmse(image, output) };
    };
    const measure = (baseline: string, image: Image) => baselineScores.add(baseline, scoresOf(image));
    const [roundTrip] = await model.reconstruct([output]);
    measure("unchanged", input);
    measure("roundTrip", roundTrip!);
    for (const count of counts) {
      const used = examples.slice(0, count);
      measure(colourFitOf(count), colourFit(used, input));
      const { image, milliseconds } = await generations.generate({
        id: `examples-${count}/${numbered(i)}`,
        seed: sample.seed,
        examples: used,
        input,
      });
      const column = columns.get(count)!;
      const { psnr, rmse } = scoresOf(image);
      column.psnr.push(psnr);
      column.rmse.push(rmse);
      column.milliseconds.push(milliseconds);
      const prompt = await model.compress(used);
      column.nats.push(mean(await model.score({ prompt, input, output })));
    }
  }
  const { decoder, xprompt } = model.config;
  const { tokens: xpTokens, mask = "xprompt" } = xprompt;
  const bytesPerSlot = 2 * decoder.layers * decoder.keyValueHeads * headWidth(decoder) * BYTES_PER_NUMBER;
  // <s>, and two pictures with their begin and end tokens.
  const wholeExample = 1 + 2 * (model.codesPerImage + 2);
  const kept = mask === "causal" ? wholeExample + xpTokens : xpTokens;
  const examples = Object.fromEntries(
    counts.map((count) => {
      const slots = count * kept;
      const cost = { slots, bytes: slots * bytesPerSlot, slotsUncompressed: count * wholeExample };
      return [count, { ...cost, ...columns.get(count)!.summary(seed) }];
    }),
  );
  const baselines = Object.fromEntries(
    baselineScores.conditions.map((name) => [
      name,
      { psnr: mean(baselineScores.column(name, "psnr")), rmse: mean(baselineScores.column(name, "rmse")) },
    ]),
  );
  return { xpTokens, mask, examples, ratio: wholeExample / kept, baselines, n: limit };
}

/** Measurements with a number of examples, one value per sample. */
class Columns {
  readonly milliseconds: number[] = [];
  readonly nats: number[] = [];
  readonly psnr: number[] = [];
  readonly rmse: number[] = [];

  summary(seed: number): Pick<Costs, "milliseconds" | "nats" | "psnr" | "rmse" | "ci"> {
    const [nats, psnr, rmse] = [this.nats, this.psnr, this.rmse].map((values) => estimate(values, seed)!);
    return {
      milliseconds: median(this.milliseconds),
      nats: nats!.mean,
      psnr: psnr!.mean,
      rmse: rmse!.mean,
      ci: { nats: nats!.ci, psnr: psnr!.ci, rmse: rmse!.ci },
    };
  }
}

const shownCosts = ["slots", "bytes", "slotsUncompressed", "milliseconds", "nats", "psnr", "rmse"] as const;

/** One line per number of examples. */
const linesOf = ({ examples, baselines = {} }: Measured): string[] => [
  ...counts.map((count) => {
    const { slots, milliseconds, nats, psnr } = examples[count]!;
    return `${count} examples in ${slots} slots: ${plain(milliseconds, 0)} ms, ${plain(nats, 2)} nats per code, ${plain(psnr, 1)} dB; colour fit ${plain(baselines[colourFitOf(count)]?.psnr, 1)} dB`;
  }),
  `unchanged ${plain(baselines.unchanged?.psnr, 1)} dB, round trip ${plain(baselines.roundTrip?.psnr, 1)} dB`,
];

function reportOf({ examples, ratio, baselines = {} }: Measured) {
  const { slots } = examples["1"]!;
  return {
    title: "Compression",
    text:
      `Examples of trained families, compressed to ${slots} slots each (uncompressed: ${Math.round(slots * ratio)}). ` +
      "Milliseconds: median, without compressing the examples. Nats: NLL per code of the truth. colourFit2: least squares from the colours of two examples, and so on.",
    table: {
      columns: ["examples", ...shownCosts],
      rows: [
        ...counts.map((count) => [count, ...shownCosts.map((field) => examples[count]![field])]),
        ...Object.entries(baselines).map(([name, { psnr, rmse }]) => [
          name,
          ...shownCosts.map((field) => (field === "psnr" ? psnr : field === "rmse" ? rmse : null)),
        ]),
      ],
    },
  };
}

function sweepReport(models: readonly (Stored<Measured> & Belonging)[]) {
  const fields = ["slots", "bytes", "milliseconds", "nats", "psnr", "rmse"] as const;
  return {
    title: "Slots per example",
    text:
      "One example, compressed to more or fewer slots, or uncompressed (causal). Stored figures of models with equal " +
      "training. Earlier: trained from an earlier version of this model.",
    table: {
      columns: ["mask", "S", ...fields, "n", "earlier"],
      rows: models.map(({ mask, xpTokens, examples, n, sameModel }) => [
        mask,
        xpTokens,
        ...fields.map((field) => examples["1"]![field]),
        n,
        sameModel ? "" : "yes",
      ]),
    },
  };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
}
