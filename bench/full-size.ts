/**
 * @file `bench full-size`: full-size results of known changes of photographs, compared with the unchanged photograph, the
 * enlarged small result, and a single affine map. Photographs that are no squares are squeezed to one, as `generate`
 * does, or letterboxed.
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import { loadTokenizers } from "../src/chameleon/checkpoint/folder.ts";
import type { ImageTokenizer } from "../src/chameleon/tokenizers/image-tokenizer.ts";
import { XPromptError } from "../src/errors.ts";
import { boundedPsnr } from "../src/evaluation/metrics/pictures.ts";
import { fitAffineMap } from "../src/image/colour-map.ts";
import {
  applyChange,
  type Change,
  createImage,
  fitChange,
  fromBytes,
  type Image,
  loadImage,
  resize,
  toBytes,
} from "../src/image/index.ts";
import { crop } from "../src/image/resize.ts";
import { Random } from "../src/tasks/index.ts";
import { XPrompt } from "../src/xprompt/model.ts";
import { resolveModel } from "../src/xprompt/models.ts";
import { knownChanges } from "./full-size-changes.ts";
import { benchmark, type CommonOptions, integer, type Report, setting } from "./options.ts";

interface Options extends CommonOptions {
  readonly photos: string;
  readonly size: number;
  readonly aspect: number;
  readonly letterbox: boolean;
  readonly oracle: boolean;
  readonly model: string;
}

/** The small result is the truth after the image tokenizer ("oracle"), or the model's with one example. */
const sources = ["oracle", "model"] as const;
const methods = ["untouched", "drawing", "affine", "full size"] as const;

export function fullSizeBenchmark(print: (report: Report, options: CommonOptions) => void): Command {
  return benchmark("full-size", "PSNR of full-size results of known changes of photographs.", 1)
    .requiredOption(
      "--photos <dir>",
      "folder with at least two photographs (JPEG, PNG, WebP), or one for --oracle",
    )
    .option("--size <n>", "edge of the changed central square in pixels. Defaults to 256", integer, 256)
    .option("--aspect <n>", "width ÷ height of the changed part, its size is then its width", ratio, 1)
    .option("--letterbox", "fit the photograph into the model's square, instead of squeezing it", false)
    .option("--oracle", "only perfect drawings: needs only the tokenizers of a model", false)
    .option("--model <name>", "a shipped model, or a model folder. Defaults to nano", "nano")
    .action(async (options: Options) => print(await measure(options), options));
}

/** @throws InvalidArgumentError when the text is no number of at least 1 */
function ratio(text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value < 1)
    throw new InvalidArgumentError(`expected a number ≥ 1, got "${text}".`);
  return value;
}

async function measure(options: Options): Promise<Report> {
  const names = (await readdir(options.photos)).filter((name) => /\.(jpe?g|png|webp)$/i.test(name)).sort();
  // The example is another photograph.
  const least = options.oracle ? 1 : 2;
  if (names.length < least)
    throw new XPromptError(
      `reading ${options.photos}: expected at least ${least} photographs (.jpg, .png, .webp), got ${names.length}`,
    );
  const { size, aspect, threads } = options;
  const photos = await Promise.all(
    names.map(async (name) => central(await loadImage(join(options.photos, name), { size }), aspect)),
  );
  const { image: tokenizer } = await loadTokenizers(await resolveModel(options.model), { threads });
  const model = options.oracle ? undefined : await XPrompt.load(options.model, { threads });
  const view = viewOf(tokenizer, options.letterbox, aspect);
  const used = options.oracle ? (["oracle"] as const) : sources;
  const figures: Record<string, Record<string, number>> = {};
  try {
    for (const [name, make] of Object.entries(knownChanges)) {
      const sums: Record<string, number> = {};
      for (const [i, photo] of photos.entries()) {
        const { input, output } = make(photo, Random.of(1, name, i));
        const square = view.square(input);
        const query = view.picture(square);
        const decoded = await tokenizer.decode(await tokenizer.encode([square, view.square(output)]));
        const [seen, oracle] = decoded.map(view.picture) as [Image, Image];
        const drawings: Partial<Record<(typeof sources)[number], Image>> = { oracle };
        if (model) {
          const example = make(photos[(i + 1) % photos.length]!, Random.of(2, name, i));
          const examples = [{ input: view.square(example.input), output: view.square(example.output) }];
          const prompt = await model.compress(examples);
          const { images } = await model.generate({ prompt, input: square, seed: 1 });
          drawings.model = view.picture(images[0]);
        }
        for (const source of used) {
          const drawn = drawings[source]!;
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
    await model?.release();
    await tokenizer.release();
  }
  const columns = used.flatMap((source) => methods.map((method) => `${source}, ${method}`));
  return {
    result: {
      benchmark: "full-size",
      ...setting(options),
      size,
      aspect,
      letterbox: options.letterbox,
      photos: names,
      psnr: figures,
    },
    rows: [
      ["PSNR in dB", ...columns],
      ...Object.entries(figures).map(([change, sums]) => [
        change,
        ...columns.map((key) => sums[key]!.toFixed(1)),
      ]),
    ],
  };
}

/** The central part of a square, of a width and a shape. */
function central(photo: Image, aspect: number): Image {
  const height = Math.round(photo.height / aspect);
  return crop(photo, 0, Math.floor((photo.height - height) / 2), photo.width, height);
}

/** A photograph as the model's square, and the photograph's part of such a square. */
interface View {
  square(photo: Image): Image;
  picture(square: Image): Image;
}

function viewOf({ config: { resolution: edge } }: ImageTokenizer, letterbox: boolean, aspect: number): View {
  if (!letterbox) return { square: (photo) => resize(photo, edge, edge, "lanczos"), picture: (all) => all };
  const height = Math.round(edge / aspect);
  const top = Math.floor((edge - height) / 2);
  return {
    square: (photo) => {
      const square = createImage(edge, edge);
      square.data.fill(0.5);
      square.data.set(resize(photo, edge, height, "lanczos").data, top * edge * 3);
      return square;
    },
    picture: (square) => crop(square, 0, top, edge, height),
  };
}
