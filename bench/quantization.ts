/**
 * @file `bench quantization`: the loss of quality with 16, 8 and 4 bits, measured on converted folders: NLL per token on
 * held-out contexts, and differences of greedily sampled pictures. For nano, and for a larger byte-level language model
 * that is trained here.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import { decoderConfigSchema, decoderFromJson } from "../src/chameleon/checkpoint/config.ts";
import { readInitializers } from "../src/chameleon/checkpoint/folder.ts";
import { type BlockSize, blockSizes } from "../src/chameleon/checkpoint/quantize.ts";
import { convertModel } from "../src/chameleon/convert/convert.ts";
import type { Format } from "../src/chameleon/convert/plan.ts";
import { Decoder } from "../src/chameleon/model/decoder.ts";
import { VQ_PREFIX } from "../src/chameleon/tokenizers/image-tokenizer.ts";
import type { Image } from "../src/image/index.ts";
import { Random } from "../src/random.ts";
import { readJson } from "../src/runtime/files.ts";
import { heldOutTasks, selectFamilies } from "../src/tasks/index.ts";
import { XPrompt } from "../src/xprompt/model.ts";
import { resolveModel } from "../src/xprompt/models.ts";
import { queryTokens } from "../src/xprompt/sequence.ts";
import { benchmark, type CommonOptions, codeByCode, integer, type Report, setting } from "./options.ts";
import { excerpts, repositoryText, textModel, trainTextModel } from "./text-model.ts";
import { round } from "./timing.ts";

interface QuantizationOptions extends CommonOptions {
  readonly contexts: number;
  readonly pictures: number;
  readonly steps: number;
}

interface Form {
  readonly format: Format;
  readonly blockSize?: BlockSize;
}

const forms: readonly Form[] = [
  { format: "none" },
  { format: "float16" },
  ...(["int8", "int4"] as const).flatMap((format) => blockSizes.map((blockSize) => ({ format, blockSize }))),
];

const nameOf = ({ format, blockSize }: Form): string =>
  blockSize === undefined ? format : `${format}, blocks of ${blockSize}`;

/** One context or excerpt: −log p of the true tokens, and the most likely token at the same places. */
interface Judged {
  readonly nll: number[];
  readonly top: number[];
}

export function quantizationBenchmark(print: (report: Report, options: CommonOptions) => void): Command {
  return benchmark("quantization", "Loss of quality with 16, 8 and 4 bits.", 1)
    .option(
      "--contexts <n>",
      "held-out contexts with one picture each, at least 2. Defaults to 64",
      several,
      64,
    )
    .option("--pictures <n>", "greedily sampled pictures. Defaults to 16", integer, 16)
    .option("--steps <n>", "training steps of the larger model. Defaults to 150", integer, 150)
    .action(async (options: QuantizationOptions) => print(await measure(options), options));
}

/** @throws InvalidArgumentError when the text is no integer of at least 2, which a standard error needs */
function several(text: string): number {
  const value = integer(text);
  if (value < 2) throw new InvalidArgumentError(`expected an integer ≥ 2, got "${text}".`);
  return value;
}

async function measure(options: QuantizationOptions): Promise<Report> {
  const scratch = await mkdtemp(join(tmpdir(), "xprompt-quantization-"));
  try {
    const nano = await resolveModel("nano");
    const ofNano = await inAllForms(nano, join(scratch, "nano"), (folder) => judgeNano(folder, options));
    const text = join(scratch, "text");
    const words = await repositoryText(); // once, because files may change meanwhile
    await trainTextModel(text, words.train, { ...options, tokenizer: nano });
    const ofText = await inAllForms(text, join(scratch, "texts"), async (folder) => ({
      judged: await judgeText(folder, words.heldOut, options),
    }));
    const models = [
      { model: "nano", results: compare(ofNano) },
      { model: `bytes, ${textModel.hiddenSize} × ${textModel.layers}`, results: compare(ofText) },
    ];
    const cell = (value: number | undefined) => (value === undefined ? "-" : String(value));
    return {
      result: { benchmark: "quantization", models, steps: options.steps, ...setting(options) },
      rows: [
        ["model", "form", "nats per token", "difference", "same token", "same codes", "pixel RMS"],
        ...models.flatMap(({ model, results }) =>
          results.map((each) => [
            ...[model, each.form, cell(each.nats), `${each.difference} ± ${each.standardError}`],
            ...[cell(each.sameToken), cell(each.sameCodes), cell(each.pixelRms)],
          ]),
        ),
      ],
    };
  } finally {
    await rm(scratch, { recursive: true });
  }
}

interface Found {
  readonly judged: readonly Judged[];
  readonly drawn?: { readonly codes: readonly (readonly number[])[]; readonly images: readonly Image[] };
}

/** Converts a model to every form and measures each. */
async function inAllForms(
  folder: string,
  scratch: string,
  measure: (folder: string) => Promise<Found>,
): Promise<(Found & { readonly form: string; readonly bytes: number })[]> {
  const found = [];
  for (const { format, blockSize } of forms) {
    const form = nameOf({ format, blockSize });
    const output = `${scratch}-${format}${blockSize ?? ""}`;
    process.stderr.write(`measuring ${form}\n`);
    // All formats come from one copy, in case the original changes meanwhile.
    const input = format === "none" ? folder : `${scratch}-none`;
    const { bytes } = await convertModel(input, { format, blockSize, output });
    found.push({ form, bytes: bytes.out, ...(await measure(output)) });
  }
  return found;
}

/** Compares each form with the first. */
function compare(all: readonly (Found & { readonly form: string; readonly bytes: number })[]) {
  const { judged: exact, drawn: truth } = all[0]!;
  return all.map(({ form, bytes, judged, drawn }) => {
    const differences = judged.map(({ nll }, i) => mean(nll) - mean(exact[i]!.nll));
    const deviation = Math.sqrt(mean(differences.map((x) => (x - mean(differences)) ** 2)));
    const pixels = drawn?.images.flatMap(({ data }, i) =>
      Array.from(data, (x, j) => (x - truth!.images[i]!.data[j]!) ** 2),
    );
    return {
      form,
      bytes,
      nats: round(mean(judged.map(({ nll }) => mean(nll))), 4),
      /** Mean difference per token. Its standard error is over contexts, whose tokens depend on each other. */
      difference: round(mean(differences), 5),
      standardError: round(deviation / Math.sqrt(differences.length - 1), 5),
      /** Share of places with the same most likely token, given the same tokens before. */
      sameToken: round(share(topOf(judged), topOf(exact)), 4),
      ...(drawn && {
        /** Share of equal codes in sampled pictures. One different code changes all later ones. */
        sameCodes: round(share(drawn.codes.flat(), truth!.codes.flat()), 4),
        samePictures: drawn.codes.filter((row, i) => share(row, truth!.codes[i]!) === 1).length,
        pixelRms: round(Math.sqrt(mean(pixels!)), 4),
      }),
    };
  });
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

const topOf = (judged: readonly Judged[]): number[] => judged.flatMap(({ top }) => top);

const share = (a: readonly number[], b: readonly number[]): number =>
  mean(a.map((value, i) => Number(value === b[i])));

/** Measures teacher-forced pictures of new scenes, for trained and unseen tasks, and samples pictures. */
async function judgeNano(
  folder: string,
  { contexts, pictures, threads }: QuantizationOptions,
): Promise<Found> {
  const model = await XPrompt.load(folder, { threads });
  const unseen = Object.values(heldOutTasks).flat();
  const families = selectFamilies({ exclude: unseen });
  const { vocabulary } = model.tokenizer;
  const { todoPosition } = model.config.xprompt;
  const judged: Judged[] = [];
  const codes: number[][] = [];
  const images: Image[] = [];
  for (let c = 0; c < contexts; c++) {
    const random = Random.of(7, "quantization", c);
    const family = c % 4 === 0 ? random.pick(selectFamilies({ include: unseen })) : random.pick(families);
    const task = family.draw(random);
    const [example, query] = [task.pair(random, model.size), task.pair(random, model.size)];
    const prompt = await model.compress([{ input: example.input, output: example.output }]);
    const [input, target] = await model.tokenizer.encodeImages([query.input, query.output]);
    const cache = model.base.decoder.newCache(1);
    for (const block of prompt.blocks) cache.append(0, block);
    let tokens = queryTokens(vocabulary, { input: input!, instruction: [] });
    let position = todoPosition;
    const places: Judged = { nll: [], top: [] };
    judged.push(places);
    for (const code of target!) {
      const positions = tokens.map((_, i) => position + i);
      const logits = await model.base.decoder.forward([{ tokens, positions }], cache);
      position += tokens.length;
      tokens = [vocabulary.imageTokens[code]!];
      judge(logits, tokens[0]!, places);
    }
    if (c >= pictures) continue;
    const drawn = await model.generate({
      prompt,
      input: query.input,
      seed: 0,
      ...codeByCode,
      guidance: 1,
      temperature: 0,
    });
    codes.push([...drawn.codes[0]!]);
    images.push(drawn.images[0]);
  }
  await model.release();
  return { judged, drawn: { codes, images } };
}

/** Measures held-out text, byte by byte. */
async function judgeText(
  folder: string,
  heldOut: Buffer,
  { threads }: QuantizationOptions,
): Promise<Judged[]> {
  const config = decoderFromJson(
    await readJson(join(folder, "config.json"), decoderConfigSchema, "model config"),
  );
  const { weights } = await readInitializers(folder, undefined, (name) => !name.startsWith(`${VQ_PREFIX}.`));
  const decoder = await Decoder.create(config, weights, { threads });
  const judged: Judged[] = [];
  for (const row of excerpts(heldOut, 64, config.maxPositions, Random.of(7, "held-out text"))) {
    const logits = await decoder.logits(row);
    const places: Judged = { nll: [], top: [] };
    judged.push(places);
    for (let i = 0; i + 1 < row.length; i++) {
      const start = i * config.vocabularySize;
      judge(logits.subarray(start, start + config.vocabularySize), row[i + 1]!, places);
    }
  }
  await decoder.release();
  return judged;
}

function judge(logits: Float32Array, token: number, into: Judged): void {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i]! > logits[best]!) best = i;
  let total = 0;
  for (const logit of logits) total += Math.exp(logit - logits[best]!);
  into.nll.push(Math.log(total) + logits[best]! - logits[token]!);
  into.top.push(best);
}
