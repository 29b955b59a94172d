/**
 * @file `bench full-size`: full-size results of known changes of photographs, compared with the unchanged photograph, the
 * enlarged small result, and a single affine map.
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Command } from "commander";
import { boundedPsnr } from "../src/evaluation/metrics/pictures.ts";
import { fitAffineMap } from "../src/image/colour-map.ts";
import {
  applyChange,
  type Change,
  fitChange,
  fromBytes,
  type Image,
  loadImage,
  resize,
  toBytes,
} from "../src/image/index.ts";
import { Random } from "../src/tasks/index.ts";
import { XPrompt } from "../src/xprompt/model.ts";
import { knownChanges } from "./full-size-changes.ts";
import { benchmark, type CommonOptions, integer, type Report, setting } from "./options.ts";

interface Options extends CommonOptions {
  readonly photos: string;
  readonly size: number;
  readonly model: string;
}

/** The small result is the truth after the image tokenizer ("oracle"), or the model's with one example. */
const sources = ["oracle", "model"] as const;
const methods = ["untouched", "drawing", "affine", "full size"] as const;

export function fullSizeBenchmark(print: (report: Report, options: CommonOptions) => void): Command {
  return benchmark("full-size", "PSNR of full-size results of known changes of photographs.", 1)
    .requiredOption("--photos <dir>", "folder with at least two photographs (JPEG, PNG, WebP)")
    .option("--size <n>", "edge of the changed central square in pixels. Defaults to 256", integer, 256)
    .option("--model <name>", "a shipped model, or a model folder. Defaults to nano", "nano")
    .action(async (options: Options) => print(await measure(options), options));
}

async function measure(options: Options): Promise<Report> {
  const names = (await readdir(options.photos)).filter((name) => /\.(jpe?g|png|webp)$/i.test(name)).sort();
  const photos = await Promise.all(
    names.map((name) => loadImage(join(options.photos, name), { size: options.size })),
  );
  const model = await XPrompt.load(options.model, { threads: options.threads });
  const figures: Record<string, Record<string, number>> = {};
  try {
    for (const [name, make] of Object.entries(knownChanges)) {
      const sums: Record<string, number> = {};
      for (const [i, photo] of photos.entries()) {
        const { input, output } = make(photo, Random.of(1, name, i));
        const small = (image: Image) => resize(image, model.size, model.size, "lanczos");
        const query = small(input);
        const [seen, oracle] = (await model.reconstruct([query, small(output)])) as [Image, Image];
        // The example is another photograph.
        const example = make(photos[(i + 1) % photos.length]!, Random.of(2, name, i));
        const examples = [{ input: small(example.input), output: small(example.output) }];
        const prompt = await model.compress(examples);
        const { images } = await model.generate({ prompt, input: query, seed: 1 });
        for (const source of sources) {
          const drawn = source === "oracle" ? oracle : images[0];
          const original = { width: input.width, height: input.height, data: toBytes(input) };
          const change = fitChange({ query, seen, drawn }, original);
          const affine: Change = {
            flip: { across: false, down: false },
            grid: fitAffineMap(seen, drawn).grid,
            detail: 1,
            confidence: change.confidence.map(() => 1),
            query,
            drawn,
          };
          const applied = (what: Change) =>
            fromBytes(input.width, input.height, applyChange(what, original).data);
          const results: Record<(typeof methods)[number], Image> = {
            untouched: input,
            drawing: resize(drawn, input.width, input.height, "bicubic"),
            affine: applied(affine),
            "full size": applied(change),
          };
          for (const method of methods) {
            const key = `${source}, ${method}`;
            sums[key] = (sums[key] ?? 0) + boundedPsnr(results[method], output) / photos.length;
          }
        }
      }
      figures[name] = sums;
    }
  } finally {
    await model.release();
  }
  const columns = sources.flatMap((source) => methods.map((method) => `${source}, ${method}`));
  return {
    result: { benchmark: "full-size", ...setting(options), size: options.size, photos: names, psnr: figures },
    rows: [
      ["PSNR in dB", ...columns],
      ...Object.entries(figures).map(([change, sums]) => [
        change,
        ...columns.map((key) => sums[key]!.toFixed(1)),
      ]),
    ],
  };
}
