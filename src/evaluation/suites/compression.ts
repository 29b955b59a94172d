/**
 * @file What an example costs, and what more of them are worth: slots and bytes of the cache, time to draw, distance
 * to the truth, for 1, 2, 4 and 8 examples; beside them what the examples would cost uncompressed.
 */
import { headWidth } from "../../chameleon/transformer.ts";
import { familyNamed, Random } from "../../tasks/index.ts";
import type { Shown } from "../drawings.ts";
import { mean, meanInterval } from "../metrics/bootstrap.ts";
import { psnr, rmse } from "../metrics/pictures.ts";
import { numbered, sampleOf } from "../samples.ts";
import type { Suite, SuiteContext, SuiteOutcome } from "../suite.ts";

const counts = [1, 2, 4, 8] as const;
const BYTES_OF_A_NUMBER = 4;

export const compression: Suite = {
  name: "compression",
  description:
    "cache slots, bytes, time and quality against the number of examples, compressed to S slots each",
  limit: 32,
  run: measure,
};

async function measure(context: SuiteContext): Promise<SuiteOutcome> {
  const { drawings, limit, seed, model, training } = context;
  const { decoder, xprompt } = model.config;
  drawings.expect(limit * counts.length);
  const columns = new Map(
    counts.map((count) => [
      count,
      { psnr: [] as number[], rmse: [] as number[], milliseconds: [] as number[] },
    ]),
  );
  for (let i = 0; i < limit; i++) {
    const name = Random.of(seed, "compression", i).pick(training.families);
    const sample = sampleOf(familyNamed(name), seed, i, model.size);
    const examples = Array.from({ length: Math.max(...counts) }, (_, j): Shown => {
      const { input, output } = sample.example(j);
      return { input, output };
    });
    for (const count of counts) {
      const { image, milliseconds } = await drawings.draw({
        id: `examples-${count}/${numbered(i)}`,
        seed: sample.seed,
        examples: examples.slice(0, count),
        input: sample.query.input,
      });
      const column = columns.get(count)!;
      column.psnr.push(psnr(image, sample.query.output));
      column.rmse.push(rmse(image, sample.query.output));
      column.milliseconds.push(milliseconds);
    }
  }
  const bytesOfASlot = 2 * decoder.layers * decoder.keyValueHeads * headWidth(decoder) * BYTES_OF_A_NUMBER;
  // <s>, two pictures with their begin and end, and the XP block.
  const wholeExample = 1 + 2 * (model.codesPerImage + 2) + xprompt.tokens;
  const kept = xprompt.mask === "causal" ? wholeExample : xprompt.tokens;
  const byCount = Object.fromEntries(
    counts.map((count) => {
      const column = columns.get(count)!;
      return [
        count,
        {
          slots: count * kept,
          bytes: count * kept * bytesOfASlot,
          slotsUncompressed: count * wholeExample,
          milliseconds: median(column.milliseconds),
          psnr: mean(column.psnr),
          rmse: mean(column.rmse),
          ci: { psnr: meanInterval(column.psnr, seed), rmse: meanInterval(column.rmse, seed) },
        },
      ];
    }),
  );
  const shown = ["slots", "bytes", "slotsUncompressed", "milliseconds", "psnr", "rmse"] as const;
  const table = {
    columns: ["examples", ...shown],
    rows: counts.map((count) => [count, ...shown.map((field) => byCount[count]![field])]),
  };
  const text =
    `Examples of families that training showed, compressed to ${kept} slots each (uncompressed: ${wholeExample}). ` +
    "Milliseconds: the median, examples read before.";
  return {
    figures: { xpTokens: xprompt.tokens, examples: byCount, ratio: wholeExample / kept, n: limit },
    report: [{ title: "Compression", text, table }],
  };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
}
