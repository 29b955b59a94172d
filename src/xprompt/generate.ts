/** @file Generating pictures: check the request, encode its inputs, sample codes, decode them. */

import type { Batch } from "../chameleon/model/batch.ts";
import { slotsOf } from "../chameleon/model/cache.ts";
import type { Tokenizer } from "../chameleon/tokenizers/tokenizer.ts";
import { UsageError, XPromptError } from "../errors.ts";
import { type ColourChange, explainingChange } from "../image/example-colours.ts";
import type { ByteImage, Image } from "../image/index.ts";
import { randomSeed } from "../random.ts";
import type { Compressor } from "./compress.ts";
import type { AskingModel, Retrieved, RetrievedExample } from "./example-source.ts";
import { ExpectedVectors } from "./expected.ts";
import { type FullSize, loadOriginal, type Original } from "./full-size.ts";
import { guidanceWeights } from "./guidance.ts";
import { codesInOnePass } from "./one-pass.ts";
import type { Generated, GenerateOptions, GenerateStep, StreamOptions } from "./options.ts";
import type { ExampleBlock } from "./prompt.ts";
import { checkRequest, type Request } from "./request.ts";
import { promptLength, type SampleRequest, sampleCodes } from "./sample-codes.ts";
import type { Codes } from "./sequence.ts";

/** What generating needs of a model; `XPrompt` implements it. */
export interface GeneratingModel extends AskingModel {
  readonly compressor: Compressor;
  /** Brings results to the size of the input. */
  readonly fullSize: FullSize;
}

/**
 * Generates the pictures of a request.
 * @param batch the batch in which the codes are sampled
 * @returns a step per code, or with `onePass` one step with all codes; then one with the result. Leaving the generator
 * early frees the resources of the request.
 * @throws UsageError for options out of range
 * @throws XPromptError for a picture that cannot be read, or a prompt of another model
 * @throws the signal's reason when it is aborted
 */
export async function* generateSteps(
  model: GeneratingModel,
  options: StreamOptions,
  batch: Batch,
): AsyncGenerator<GenerateStep<Image | ByteImage>> {
  const started = performance.now();
  const { signal } = options;
  const work = await prepared(model, options);
  const { settings, request, colours, full, inputCodes, retrieved } = work;
  const { tokenizer, codesPerImage } = model.base;
  const rows = Math.sqrt(codesPerImage);
  const stepOf = (codes: readonly (readonly number[])[]): GenerateStep => {
    const row = codes[0]!.length / rows;
    return {
      codes,
      codesPerImage,
      ...(Number.isInteger(row) && { row: { row, rows } }),
      preview: () => previewOf(tokenizer, codes, inputCodes),
    };
  };
  const ready = performance.now();
  let codes: readonly (readonly number[])[] = [];
  const sample = settings.onePass ? codesInOnePass : sampleCodes;
  for await (codes of sample(batch, tokenizer.vocabulary, model.config.xprompt, request)) yield stepOf(codes);
  signal?.throwIfAborted();
  const sampled = performance.now();
  const images = await picturesOf(model, work, codes, signal);
  const ended = performance.now();
  const result: Generated<Image | ByteImage> = {
    images,
    ...(full && { changeFrom: colours ? "example colours" : "drawing" }),
    codes,
    seed: request.seed,
    settings,
    model: model.fingerprint,
    ...(retrieved && { retrieved: retrieved.examples, bestSimilarity: retrieved.best }),
    tokens: {
      examples: slotsOf(request.blocks),
      prompt: promptLength(tokenizer.vocabulary, request),
      generated: request.samples * codesPerImage,
      unread: model.compressor.unreadTokens(options.instruction ?? "", inputCodes ? 1 : 0),
    },
    steps: { ...request.steps },
    timings: {
      prepare: ready - started,
      draw: sampled - ready,
      decode: ended - sampled,
      total: ended - started,
    },
  };
  yield { ...stepOf(codes), result };
}

/** A request that is ready to be sampled. */
type Prepared = Awaited<ReturnType<typeof prepared>>;

async function prepared(model: GeneratingModel, options: StreamOptions) {
  const { signal, instruction = "" } = options;
  const {
    seed = randomSeed(),
    samples,
    k,
    minSimilarity,
    exampleColours,
    draft,
    ...settings
  } = checked(model, options);
  const { guidance, expected, onePass, ...sampling } = settings;
  signal?.throwIfAborted();
  const { base, compressor } = model;
  const { full, inputCodes, blocks, retrieved } = await encoded(model, options, {
    samples,
    k,
    minSimilarity,
  });
  const isTold = full && exampleColours && asksForNoMore(options, blocks, retrieved?.examples);
  const colours = isTold ? await coloursOf(blocks, retrieved) : undefined;
  const [empty] = (await compressor.empty()).blocks;
  // In one pass the logits are those of all samples. Where a map of colours is the result, only previews show the codes.
  const means =
    expected && !colours
      ? Array.from({ length: onePass ? 1 : samples }, () => new ExpectedVectors(base.tokenizer))
      : undefined;
  const request = {
    blocks,
    empty: empty!,
    query: { input: inputCodes, instruction: compressor.words(instruction, inputCodes ? 1 : 0) },
    codes: base.codesPerImage,
    samples,
    seed,
    sampling,
    guidance: guidanceWeights(guidance, blocks.length > 0),
    draft,
    steps: { runs: 0, drafted: 0, accepted: 0 },
    signal,
    ...(means && { onLogits: ({ sample }, logits) => means[sample]?.add(logits) }),
  } satisfies SampleRequest;
  return { settings, request, means, colours, full, inputCodes, retrieved };
}

/** The pictures of a request whose codes are sampled: one per sample. */
async function picturesOf(
  { base: { tokenizer }, fullSize }: GeneratingModel,
  { request: { samples }, means, colours, full, inputCodes }: Prepared,
  codes: readonly (readonly number[])[],
  signal: AbortSignal | undefined,
): Promise<Generated<Image | ByteImage>["images"]> {
  /** One per sample, or one for all of them. */
  let distinct: readonly (Image | ByteImage)[];
  if (full && colours) distinct = [await fullSize(full, { colours }, signal)];
  else {
    const decoded = means
      ? await tokenizer.decodeVectors(await Promise.all(means.map((mean) => mean.vectors())))
      : await tokenizer.decodeImages(codes);
    distinct = full ? await enlarged(decoded, full) : decoded;
  }
  const images = Array.from({ length: samples }, (_, i) => distinct[i] ?? structuredClone(distinct[0]!));
  return images as [Image | ByteImage, ...(Image | ByteImage)[]]; // there is at least one sample

  async function enlarged(drawings: readonly Image[], original: Original): Promise<ByteImage[]> {
    const [seen] = await tokenizer.decodeImages([inputCodes!]);
    const results: ByteImage[] = [];
    for (const drawn of drawings) results.push(await fullSize(original, { seen: seen!, drawn }, signal));
    return results;
  }
}

/** Runs all steps of a request and calls `onProgress` after each row of codes; with `onePass`, once. */
export async function generated(
  model: GeneratingModel,
  { onProgress, ...options }: GenerateOptions,
  batch: Batch,
): Promise<Generated<Image | ByteImage>> {
  let result: Generated<Image | ByteImage> | undefined;
  for await (const step of generateSteps(model, options, batch)) {
    if (step.result) result = step.result;
    else if (step.row) await onProgress?.({ ...step.row, preview: step.preview });
  }
  return result!; // the last step has it
}

/** Settings of a request. @throws UsageError or XPromptError, before any work, if it cannot be served */
function checked({ base, config, compressor }: GeneratingModel, options: StreamOptions): Request {
  const { prompt, examples, input, library, fullSize } = options;
  const given = prompt === undefined ? [] : [prompt].flat();
  const pictures =
    input !== undefined || given.length > 0 || (examples ?? []).length > 0 || library !== undefined;
  // Drafts of quantized weights change the codes.
  const recommended = { ...config.xprompt.sampling, draft: !config.decoder.quantization };
  const request = checkRequest(options, recommended, { pictures });
  for (const name of ["k", "minSimilarity"] as const)
    if (library === undefined && options[name] !== undefined)
      throw new UsageError(`generating: ${name}: expected it with a library, got it alone`);
  if (library !== undefined && typeof library.retrieve !== "function")
    throw new UsageError(
      "generating: library: expected a Retriever, got something else (for an ExampleLibrary, pass new Retriever(library))",
    );
  options.signal?.throwIfAborted();
  compressor.joined("generating", given);
  if (!base.tokenizer.decodesImages)
    throw new XPromptError(
      "generating: expected a model that can decode pictures, got one without the decoder of its image tokenizer (put Meta's vqgan.ckpt into the folder of its base model and run xprompt init again)",
    );
  if (!fullSize && options.exampleColours !== undefined)
    throw new UsageError("generating: exampleColours: expected it with fullSize, got it alone");
  if (fullSize && input === undefined)
    throw new UsageError(
      "generating at full size: expected an input picture, got none (pass one, or leave fullSize out)",
    );
  return request;
}

/** Whether the words ask for nothing but what the examples show: there are none, or they are those of all examples. */
function asksForNoMore(
  { instruction = "" }: StreamOptions,
  blocks: readonly ExampleBlock[],
  retrieved: readonly RetrievedExample[] = [],
): boolean {
  const [asked, ...shown] = [instruction, ...retrieved.map((example) => example.instruction)].map((text) =>
    text.trim().toLowerCase(),
  );
  return asked === "" || (blocks.length === retrieved.length && shown.every((text) => text === asked));
}

/** The map of colours that explains the examples, if there is one. */
async function coloursOf(
  blocks: readonly ExampleBlock[],
  retrieved?: Retrieved,
): Promise<ColourChange | undefined> {
  const sums = [...blocks.flatMap(({ colours }) => colours ?? []), ...((await retrieved?.colours?.()) ?? [])];
  return sums.length === blocks.length ? explainingChange(sums) : undefined;
}

/** Encodes the inputs of a request: the codes of its picture and the XP blocks of its examples. */
async function encoded(
  model: GeneratingModel,
  options: StreamOptions,
  { samples, k, minSimilarity }: Pick<Request, "samples" | "k" | "minSimilarity">,
) {
  const { prompt, examples = [], input, library, signal, instruction = "" } = options;
  const { compressor } = model;
  const { full, codes: inputCodes } = await encodeInput(model, options, samples);
  const given = prompt === undefined ? [] : [prompt].flat();
  const shown = examples.length > 0 ? [...given, await compressor.compress(examples, { signal })] : given;
  const retrieved = await library?.retrieve(model, {
    instruction,
    ...(inputCodes && { input: { picture: input!, codes: inputCodes } }),
    k,
    minSimilarity,
    signal,
  });
  const prompts = retrieved?.prompt ? [...shown, retrieved.prompt] : shown;
  const blocks = compressor.joined("generating", prompts)?.blocks ?? [];
  return { full, inputCodes, blocks, retrieved };
}

/** The picture to change: at its own size for `fullSize`, and the codes that the model sees. */
export async function encodeInput(
  { base, size }: AskingModel,
  { input, fullSize }: Pick<StreamOptions, "input" | "fullSize">,
  samples: number,
): Promise<{ readonly full?: Original; readonly codes?: Codes }> {
  if (input === undefined) return {};
  const full = fullSize ? await loadOriginal(input, size, samples) : undefined;
  const [codes] = await base.tokenizer.encodeImages([full?.query ?? (await base.pixels(input, "input"))]);
  return { full, codes };
}

/** The pictures so far: what is not there yet shows the input picture, or grey where there is none. */
export async function previewOf(
  tokenizer: Tokenizer,
  codes: readonly (readonly number[])[],
  input: Codes | undefined,
): Promise<Image[]> {
  const { codesPerImage } = tokenizer;
  const images = await tokenizer.decodeImages(codes.map((row) => completed(row, input, codesPerImage)));
  return input ? images : images.map((image) => greyFrom(image, codes[0]!.length / codesPerImage));
}

/** The codes so far, completed with the codes of the input, or without input with the last code. */
function completed(codes: readonly number[], input: Codes | undefined, count: number): number[] {
  return Array.from({ length: count }, (_, i) => codes[i] ?? input?.[i] ?? codes.at(-1)!);
}

/** A copy of the picture, grey from a share of its height downwards. */
function greyFrom({ width, height, data }: Image, share: number): Image {
  return { width, height, data: data.slice().fill(0.5, Math.round(share * height) * width * 3) };
}
