/** @file The model as its users see it: load, compress examples, generate pictures. */
import { join } from "node:path";
import { z } from "zod";
import { Chameleon } from "../chameleon/chameleon.ts";
import { checkSize } from "../chameleon/checkpoint/check-parts.ts";
import { readInitializers, readWeights, weightsChecksum } from "../chameleon/checkpoint/folder.ts";
import { preprocessingOf } from "../chameleon/checkpoint/preprocessing.ts";
import type { CacheBlock } from "../chameleon/model/cache.ts";
import type { Decoder } from "../chameleon/model/decoder.ts";
import { requireMemoryFor } from "../chameleon/model/memory.ts";
import { headWidth } from "../chameleon/model/transformer.ts";
import type { Pixels } from "../chameleon/tokenizers/image-tokenizer.ts";
import { TextTokenizer } from "../chameleon/tokenizers/text-tokenizer.ts";
import type { Tokenizer } from "../chameleon/tokenizers/tokenizer.ts";
import type { Vocabulary } from "../chameleon/tokenizers/vocabulary.ts";
import { UsageError, XPromptError } from "../errors.ts";
import type { Initializer } from "../graph/index.ts";
import type { ByteImage, Image, Preprocessing } from "../image/index.ts";
import type { Picture } from "../image/picture.ts";
import { checkJson, readJson } from "../runtime/files.ts";
import type { SessionOptions } from "../runtime/session.ts";
import { adapted } from "./adapted.ts";
import { checkParts } from "./check-parts.ts";
import { fingerprintOf, type ModelConfig, modelConfigFromJson, modelConfigSchema } from "./config.ts";
import { describeChange } from "./describe.ts";
import { atFullSize, loadOriginal } from "./full-size.ts";
import { draw, type GuidanceWeights } from "./generate.ts";
import { resolveModel } from "./models.ts";
import {
  type CompressOptions,
  checkKeys,
  type DescribeOptions,
  type Example,
  type Generated,
  type GenerateOptions,
  type LoadOptions,
  optionNames,
  type ScoreOptions,
} from "./options.ts";
import { VisualPrompt } from "./prompt.ts";
import { checkRequest, type Guidance } from "./request.ts";
import { codeNats } from "./score.ts";
import { type Codes, type EncodedExample, exampleTokens, textLimit } from "./sequence.ts";

export type * from "./options.ts";
export type { Picture };

/** Examples whose pictures are in memory together. */
const AT_ONCE = 32;

export class XPrompt {
  private emptyExample: Promise<VisualPrompt> | undefined;

  private constructor(
    readonly config: ModelConfig,
    /** Names the weights and sizes: visual prompts carry it. */
    readonly fingerprint: string,
    /** The model underneath: its tokenizers, its logits, completions without the method. */
    readonly base: Chameleon,
  ) {}

  /**
   * Loads a model.
   * @param nameOrPath "nano", or a model folder
   * @throws XPromptError when there is none, it is damaged, the adapter does not fit, or the device is not available
   * @example const model = await XPrompt.load("nano");
   */
  static async load(nameOrPath: string, options: LoadOptions = {}): Promise<XPrompt> {
    if (typeof nameOrPath !== "string")
      throw new UsageError(`loading a model: expected a name or a folder, got ${typeof nameOrPath}`);
    checkKeys("loading a model", options, optionNames.load);
    const folder = await resolveModel(nameOrPath);
    const config = await readConfig(folder);
    const text = await TextTokenizer.load(join(folder, "tokenizer.json"), {
      checksum: config.tokenizerChecksum,
    });
    checkSize(folder, config.decoder);
    await requireMemoryFor(folder, config);
    const checksum = await weightsChecksum(folder, config.checksum);
    const isQuantized = config.decoder.quantization !== undefined;
    if (options.adapter !== undefined && isQuantized)
      throw new XPromptError(
        `using adapter ${options.adapter}: expected a model of plain weights, got quantized ones in ${folder} (give the model that it was trained on)`,
      );
    const used =
      options.adapter === undefined
        ? { weights: await readInitializers(folder, config.checksum, isQuantized), checksum }
        : await adapted({ weights: await readWeights(folder, config.checksum), checksum }, options.adapter);
    const preprocessing = await preprocessingOf(folder, config.image);
    return XPrompt.assemble({ config, text, ...used, preprocessing }, options);
  }

  /** @internal A model from its parts, as the trainer has them. */
  static async assemble(
    parts: {
      readonly config: ModelConfig;
      readonly text: TextTokenizer;
      readonly weights: ReadonlyMap<string, Initializer>;
      readonly checksum: string;
      /** What the processor of the model that this one was made of does to pictures. */
      readonly preprocessing?: Preprocessing;
    },
    options: SessionOptions = {},
  ): Promise<XPrompt> {
    const { config, text, weights, checksum, preprocessing } = parts;
    checkParts(config, text.vocabulary, weights);
    const fingerprint = fingerprintOf(config, { weights: checksum, tokenizer: text.checksum, preprocessing });
    const { decoder, image } = config;
    const base = await Chameleon.assemble(
      { config: { decoder, image, pictures: "chameleon" }, text, weights, fingerprint, preprocessing },
      options,
    );
    return new XPrompt(config, fingerprint, base);
  }

  /** Pictures and text to codes and ids, and back. */
  get tokenizer(): Tokenizer {
    return this.base.tokenizer;
  }

  /**
   * Logits of what follows each token of one sequence, image tokens among them.
   * @param tokens ids `[T]`, at positions 0 to T − 1
   * @returns `[T, vocabulary]`, row by row
   * @throws UsageError for no tokens, too many, or an id that the vocabulary does not have
   */
  async logits(tokens: readonly number[]): Promise<Float32Array> {
    return this.base.logits(tokens);
  }

  /** Side of the pictures in pixels. */
  get size(): number {
    return this.config.image.resolution;
  }

  /** Codes of one picture: what is drawn. */
  get codesPerImage(): number {
    return this.tokenizer.codesPerImage;
  }

  /** Text tokens at the end of an instruction that the model does not read, when it comes with so many pictures. */
  unreadTokens(instruction: string, pictures: 0 | 1 | 2): number {
    return this.tokenized(instruction).length - this.words(instruction, pictures).length;
  }

  /**
   * Reads examples and keeps what the model makes of them: S slots each, however long they were.
   * @throws XPromptError for a picture that cannot be read, or no example
   * @throws the signal's reason, once it is aborted
   */
  async compress(examples: readonly Example[], options: CompressOptions = {}): Promise<VisualPrompt> {
    checkKeys("compressing", options, optionNames.compress);
    if (!Array.isArray(examples) || examples.length === 0)
      throw new UsageError("compressing: expected an array of at least one example, got none");
    const parts: VisualPrompt[] = [];
    for (let done = 0; done < examples.length; done += AT_ONCE) {
      options.signal?.throwIfAborted();
      parts.push(
        await this.compressSome(examples.slice(done, done + AT_ONCE), done, examples.length, options),
      );
    }
    return VisualPrompt.join(parts);
  }

  /**
   * Draws pictures: what the examples show, done to the input; or what the instruction says; or both.
   * @throws UsageError for options out of range
   * @throws XPromptError for a picture that can not be read, or a prompt of another model
   * @throws the signal's reason, once it is aborted
   */
  async generate(options: GenerateOptions & { readonly fullSize: true }): Promise<Generated<ByteImage>>;
  async generate(options: GenerateOptions & { readonly fullSize?: false }): Promise<Generated>;
  async generate(options: GenerateOptions): Promise<Generated<Image | ByteImage>>;
  async generate(options: GenerateOptions): Promise<Generated<Image | ByteImage>> {
    const started = performance.now();
    checkKeys("generating", options, optionNames.generate);
    const given = options.prompt === undefined ? [] : [options.prompt].flat();
    const hasExamples = options.examples !== undefined && options.examples.length > 0;
    const pictures =
      options.input !== undefined || given.length > 0 || hasExamples || options.library !== undefined;
    const {
      seed = randomSeed(),
      samples,
      guidance,
      k,
      minSimilarity,
      ...sampling
    } = checkRequest(options, this.config.xprompt.sampling, { pictures });
    for (const name of ["k", "minSimilarity"] as const)
      if (options.library === undefined && options[name] !== undefined)
        throw new UsageError(`generating: ${name}: expected it with a library, got it alone`);
    if (options.library !== undefined && typeof options.library.retrieve !== "function")
      throw new UsageError(
        "generating: library: expected a Retriever, got something else (of an ExampleLibrary, give new Retriever(library))",
      );
    const { signal } = options;
    signal?.throwIfAborted();
    this.joined(given);
    if (!this.tokenizer.decodesImages)
      throw new XPromptError(
        "generating: expected a model that can decode pictures, got one without the decoder of its image tokenizer (put Meta's vqgan.ckpt into the folder of the base that it was made of, and make it again with xprompt init)",
      );
    if (options.fullSize && options.input === undefined)
      throw new UsageError(
        "generating at full size: expected an input picture, got none (give one, or leave fullSize out)",
      );
    const full = options.fullSize ? await loadOriginal(options.input!, this.size, samples) : undefined;
    const input =
      full?.query ?? (options.input === undefined ? undefined : await this.picture(options.input, "input"));
    const shown = hasExamples ? [...given, await this.compress(options.examples, { signal })] : given;
    const [inputCodes] = input ? await this.tokenizer.encodeImages([input]) : [];
    const retrieved = await options.library?.retrieve(this, {
      instruction: options.instruction ?? "",
      ...(input && inputCodes && { input: { picture: full?.query ?? options.input!, codes: inputCodes } }),
      k,
      minSimilarity,
      signal,
    });
    const blocks = this.joined(retrieved?.prompt ? [...shown, retrieved.prompt] : shown)?.blocks ?? [];
    const instruction = this.words(options.instruction ?? "", input ? 1 : 0);
    const [empty] = (await this.empty()).blocks;
    const prepared = performance.now();
    const side = Math.sqrt(this.codesPerImage);
    const preview = async (codes: readonly (readonly number[])[]) => {
      const whole = codes.map((row) => completed(row, inputCodes, side * side));
      const images = await this.tokenizer.decodeImages(whole);
      return inputCodes ? images : images.map((image) => greyFrom(image, codes[0]!.length / side ** 2));
    };
    const drawn = await draw(this.decoder, this.vocabulary, this.config.xprompt, {
      blocks,
      empty: empty!,
      query: { input: inputCodes, instruction },
      codes: side * side,
      samples,
      seed,
      sampling,
      guidance: weightsOf(guidance, blocks.length > 0),
      signal,
      onCode: async (codes) => {
        const count = codes[0]!.length;
        if (count % side !== 0) return;
        const sofar = codes.map((row) => [...row]);
        await options.onProgress?.({ row: count / side, rows: side, preview: () => preview(sofar) });
      },
    });
    signal?.throwIfAborted();
    const done = performance.now();
    const drawings = await this.tokenizer.decodeImages(drawn.codes);
    let images: readonly (Image | ByteImage)[] = drawings;
    if (full) {
      const [seen] = await this.tokenizer.decodeImages([inputCodes!]);
      const results: ByteImage[] = [];
      for (const drawing of drawings) results.push(await atFullSize(full, seen!, drawing, signal));
      images = results;
    }
    const ended = performance.now();
    return {
      // One picture per sample, and there is at least one sample.
      images: images as readonly [Image | ByteImage, ...(Image | ByteImage)[]],
      codes: drawn.codes,
      seed,
      settings: { ...sampling, guidance },
      model: this.fingerprint,
      ...(retrieved && { retrieved: retrieved.examples, bestSimilarity: retrieved.best }),
      tokens: {
        examples: blocks.reduce((sum, { length }) => sum + length, 0),
        prompt: drawn.promptTokens,
        generated: samples * side * side,
        unread: this.unreadTokens(options.instruction ?? "", input ? 1 : 0),
      },
      timings: {
        prepare: prepared - started,
        draw: done - prepared,
        decode: ended - done,
        total: ended - started,
      },
    };
  }

  /**
   * Says in words what an example changes, or what the examples of a prompt share (paper: difference description).
   * @throws UsageError for options out of range
   * @throws XPromptError for a picture that can not be read, or a prompt of another model
   * @example const text = await model.describe({ input: before, output: after });
   */
  async describe(
    what: Example | { readonly prompt: VisualPrompt | readonly VisualPrompt[] },
    options: DescribeOptions = {},
  ): Promise<string> {
    checkKeys("describing", options, optionNames.describe);
    const { temperature, seed = 0 } = checkRequest(options, { temperature: 0 });
    const { signal } = options;
    const prompt = this.joined("prompt" in what ? what.prompt : await this.compress([what], { signal }));
    if (!prompt) throw new UsageError("describing: expected at least one example, got none");
    const words = await describeChange(this.decoder, this.vocabulary, this.config.xprompt, {
      blocks: prompt.blocks,
      seed,
      sampling: { temperature, topK: 0, topP: 1 },
      signal,
    });
    return this.tokenizer.decodeText(words).trim();
  }

  /**
   * How likely a picture is as the answer to a request. Low sums mean likely; a perfect guess at every code costs nothing.
   * @returns nats of each of its codes, −log p given the request and the codes before it, `[codesPerImage]`
   * @throws XPromptError for a picture that can not be read, or a prompt of another model
   * @example const nats = await model.score({ prompt, input: query, output: truth });
   */
  async score(options: ScoreOptions): Promise<number[]> {
    checkKeys("scoring", options, optionNames.score);
    const { input, output, instruction = "" } = options;
    const pictures = await Promise.all([
      this.picture(output, "output"),
      ...(input === undefined ? [] : [this.picture(input, "input")]),
    ]);
    const [target, inputCodes] = await this.tokenizer.encodeImages(pictures);
    const prompt = this.joined(options.prompt) ?? (await this.empty());
    return codeNats(this.decoder, this.vocabulary, this.config.xprompt, {
      blocks: prompt.blocks,
      query: { input: inputCodes, instruction: this.words(instruction, input === undefined ? 0 : 1) },
      target: target!,
    });
  }

  /** What is left of pictures that go through the image tokenizer and back: no drawn picture can be nearer. */
  async reconstruct(pictures: readonly Picture[]): Promise<Image[]> {
    const images = await Promise.all(pictures.map((picture, i) => this.picture(picture, `pictures[${i}]`)));
    return this.tokenizer.decodeImages(await this.tokenizer.encodeImages(images));
  }

  /** Frees the memory. Calling it again is fine; anything else afterwards is an XPromptError. */
  async release(): Promise<void> {
    await this.base.release();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }

  private picture(picture: Picture, name: string): Promise<Pixels> {
    return this.base.pixels(picture, name);
  }

  private get vocabulary(): Vocabulary {
    return this.tokenizer.vocabulary;
  }

  private get decoder(): Decoder {
    return this.base.decoder;
  }

  /** All prompts of a request as one. */
  private joined(prompt: GenerateOptions["prompt"]): VisualPrompt | undefined {
    const prompts = prompt === undefined ? [] : [prompt].flat();
    if (prompts.length === 0) return undefined;
    for (const each of prompts)
      if (!(each instanceof VisualPrompt))
        throw new UsageError(
          "generating: prompt: expected what compress or VisualPrompt.load gives, got something else",
        );
    const joined = VisualPrompt.join(prompts);
    if (joined.model === this.fingerprint && joined.blocks.every((block) => this.fits(block))) return joined;
    throw new XPromptError(
      `using a prompt: expected one of this model (${this.fingerprint}), got one of ${joined.model} (compress the examples again with this model)`,
      { code: "ERR_MISMATCH" },
    );
  }

  private fits({ length, heads, layers }: CacheBlock): boolean {
    const { decoder, xprompt } = this.config;
    const size = heads * length * headWidth(decoder);
    return (
      (length === xprompt.tokens || (xprompt.mask === "causal" && length > xprompt.tokens)) &&
      heads === decoder.keyValueHeads &&
      layers.length === decoder.layers &&
      layers.every(({ keys, values }) => keys.length === size && values.length === size)
    );
  }

  /** Some of the examples that are compressed, from number `first` on. */
  private async compressSome(
    examples: readonly Example[],
    first: number,
    total: number,
    { onProgress, signal }: CompressOptions,
  ): Promise<VisualPrompt> {
    const pictures = await Promise.all(
      examples.flatMap((example, i) =>
        (["input", "output"] as const).map((side) =>
          this.picture(example?.[side], `examples[${first + i}].${side}`),
        ),
      ),
    );
    signal?.throwIfAborted();
    const codes = await this.tokenizer.encodeImages(pictures);
    const encoded = examples.map(
      ({ instruction = "" }, i): EncodedExample => ({
        input: codes[2 * i]!,
        output: codes[2 * i + 1]!,
        instruction: this.words(instruction, 2),
      }),
    );
    return this.read(encoded, {
      signal,
      onProgress: ({ done }) => onProgress?.({ done: first + done, examples: total }),
    });
  }

  private empty(): Promise<VisualPrompt> {
    this.emptyExample ??= this.read([null]).catch((error: unknown) => {
      this.emptyExample = undefined; // the next call tries again
      throw error;
    });
    return this.emptyExample;
  }

  private async read(
    examples: readonly (EncodedExample | null)[],
    { onProgress, signal }: CompressOptions = {},
  ): Promise<VisualPrompt> {
    const { tokens: xpTokens, mask } = this.config.xprompt;
    const blocks = [];
    for (const example of examples) {
      signal?.throwIfAborted();
      const tokens = exampleTokens(this.vocabulary, example, xpTokens);
      const kept = mask === "causal" ? tokens.length : xpTokens;
      blocks.push(await this.decoder.compress({ tokens, positions: [...tokens.keys()] }, kept));
      await onProgress?.({ done: blocks.length, examples: examples.length });
    }
    return VisualPrompt.of(this.fingerprint, blocks);
  }

  /** Text tokens of an instruction beside so many pictures, cut at what the model was trained to read. */
  private words(text: string, pictures: number): number[] {
    const limit = textLimit(this.config.xprompt, pictures, this.codesPerImage);
    return this.tokenized(text).slice(0, limit);
  }

  private tokenized(text: string): number[] {
    return this.tokenizer.encodeText(text.trim().toLowerCase());
  }
}

/** @throws XPromptError that tells what to do with a checkpoint that has not learned the method */
async function readConfig(folder: string): Promise<ModelConfig> {
  const path = join(folder, "config.json");
  const json = await readJson(path, z.looseObject({}), "model config");
  const { model_type, xprompt } = json;
  if (model_type === "chameleon" && xprompt === undefined)
    throw new XPromptError(
      `loading model ${folder}: expected a model with X-Prompt, got a plain Chameleon checkpoint (make it ready to learn with xprompt init --base ${folder}, or use it as it is with xprompt complete --model ${folder})`,
    );
  return modelConfigFromJson(checkJson(json, modelConfigSchema, `reading model config ${path}`));
}

function weightsOf(guidance: Guidance, hasExamples: boolean): GuidanceWeights {
  const plain = { image: 1, text: 1, examples: 1 };
  if (typeof guidance !== "number") return { ...plain, ...guidance };
  return hasExamples ? { ...plain, examples: guidance } : { ...plain, text: guidance };
}

/** Codes so far, then the input's, or the last code again where there is no input. */
function completed(codes: readonly number[], input: Codes | undefined, count: number): number[] {
  return Array.from({ length: count }, (_, i) => codes[i] ?? input?.[i] ?? codes.at(-1)!);
}

/** The picture with its rows from a share of its height on in grey. */
function greyFrom({ width, height, data }: Image, share: number): Image {
  return { width, height, data: data.slice().fill(0.5, Math.round(share * height) * width * 3) };
}

const randomSeed = (): number => Math.floor(Math.random() * 2 ** 31);
