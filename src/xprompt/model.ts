/** @file The model as its users see it: load, compress examples, generate pictures. */
import { join } from "node:path";
import { z } from "zod";
import type { CacheBlock } from "../chameleon/cache.ts";
import { checkSize } from "../chameleon/check-parts.ts";
import type { Decoder } from "../chameleon/decoder.ts";
import { readInitializers, readWeights } from "../chameleon/folder.ts";
import { requireMemoryFor } from "../chameleon/memory.ts";
import { Chameleon } from "../chameleon/model.ts";
import { loadPicture, type Picture } from "../chameleon/picture.ts";
import type { Sampling } from "../chameleon/sampling.ts";
import { TextTokenizer } from "../chameleon/text-tokenizer.ts";
import type { Tokenizer } from "../chameleon/tokenizer.ts";
import { headWidth } from "../chameleon/transformer.ts";
import type { Vocabulary } from "../chameleon/vocabulary.ts";
import { UsageError, XPromptError } from "../errors.ts";
import type { Initializer } from "../graph/index.ts";
import type { Image } from "../image/index.ts";
import { readJson, sha256File } from "../runtime/files.ts";
import type { SessionOptions } from "../runtime/session.ts";
import { adapted } from "./adapted.ts";
import { checkParts } from "./check-parts.ts";
import { fingerprintOf, type ModelConfig, modelConfigFromJson, modelConfigSchema } from "./config.ts";
import { describeChange } from "./describe.ts";
import type { ExampleSource, RetrievedExample } from "./example-source.ts";
import { draw, type GuidanceWeights } from "./generate.ts";
import { resolveModel } from "./models.ts";
import { VisualPrompt } from "./prompt.ts";
import { checkRequest, type Guidance } from "./request.ts";
import { codeNats } from "./score.ts";
import { type Codes, type EncodedExample, exampleTokens, textLimit } from "./sequence.ts";

export type { Picture };

/** A before → after pair, with the words for the change if there are any. */
export interface Example {
  readonly input: Picture;
  readonly output: Picture;
  readonly instruction?: string;
}

export interface LoadOptions extends SessionOptions {
  /** Folder of an adapter of this model, as training with `train: "lora"` or `"xp"` writes it, or Hugging Face's PEFT. */
  readonly adapter?: string;
}

export interface Progress {
  /** Rows of codes that are complete, of `rows`. */
  readonly row: number;
  readonly rows: number;
  /** The samples as they are so far; what is not drawn yet shows the input picture, or grey where there is none. */
  preview(): Promise<Image[]>;
}

export interface GenerateOptions {
  /** What to do, by example: one prompt, or several that are used together. */
  readonly prompt?: VisualPrompt | readonly VisualPrompt[];
  /** Where to look for examples that are like what is asked for: an `ExampleLibrary`, say. */
  readonly library?: ExampleSource;
  /** Examples to take from the library. Defaults to 1. */
  readonly k?: number;
  /** Take no example of the library that is less like what is asked for, 1 being the same. Defaults to any. */
  readonly minSimilarity?: number;
  /** The picture to change; without it the model draws from words and examples alone. */
  readonly input?: Picture;
  /** What to do, in words. */
  readonly instruction?: string;
  /** The same seed, model and device give the same pictures. Drawn at random unless given. */
  readonly seed?: number;
  /** Pictures to draw. Defaults to 1. */
  readonly samples?: number;
  /** Divides the logits; 0 takes the likeliest code. Defaults to what the model recommends, else 1. */
  readonly temperature?: number;
  /** Draw from the k likeliest codes only; 0 for all. Defaults to what the model recommends, else 0. */
  readonly topK?: number;
  /** Draw from the likeliest codes that make up this share of the probability. Defaults to what the model recommends, else 1. */
  readonly topP?: number;
  /**
   * How strongly the conditions are followed, each against not having it; 1 is plain sampling. A number is for the
   * examples, or for the instruction where there are none. Defaults to what the model recommends, else 1.
   */
  readonly guidance?: Guidance;
  /** Called after every row of codes. */
  onProgress?(progress: Progress): void | Promise<void>;
  readonly signal?: AbortSignal;
}

/** A request as `generate` takes it, and the picture that is to answer it. */
export interface ScoreOptions extends Pick<GenerateOptions, "prompt" | "input" | "instruction"> {
  readonly output: Picture;
}

export interface DescribeOptions {
  /** The same seed gives the same words, with a temperature. Defaults to 0. */
  readonly seed?: number;
  /** 0 takes the likeliest word each time. Defaults to 0. */
  readonly temperature?: number;
  readonly signal?: AbortSignal;
}

export interface Generated {
  /** One picture a sample. */
  readonly images: readonly [Image, ...Image[]];
  /** The codes of each. */
  readonly codes: readonly (readonly number[])[];
  readonly seed: number;
  /** How the pictures were drawn, what was not asked for included. */
  readonly settings: Sampling & { readonly guidance: Guidance };
  /** Fingerprint of the model. */
  readonly model: string;
  /** What the library gave, the nearest first. */
  readonly retrieved?: readonly RetrievedExample[];
  /** The similarity of the library's nearest example, where that was not like enough. */
  readonly bestSimilarity?: number;
  readonly tokens: { readonly examples: number; readonly prompt: number; readonly generated: number };
  /** Milliseconds. */
  readonly timings: {
    readonly prepare: number;
    readonly draw: number;
    readonly decode: number;
    readonly total: number;
  };
}

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
    const folder = await resolveModel(nameOrPath);
    const config = await readConfig(folder);
    const text = await TextTokenizer.load(join(folder, "tokenizer.json"));
    checkSize(folder, config.decoder);
    await requireMemoryFor(folder, config);
    const checksum = config.checksum ?? (await sha256File(join(folder, "model.safetensors"), "weights"));
    const isQuantized = config.decoder.quantization !== undefined;
    if (options.adapter !== undefined && isQuantized)
      throw new XPromptError(
        `using adapter ${options.adapter}: expected a model of plain weights, got quantized ones in ${folder} (give the model that it was trained on)`,
      );
    const used =
      options.adapter === undefined
        ? { weights: await readInitializers(folder, config.checksum, isQuantized), checksum }
        : await adapted({ weights: await readWeights(folder, config.checksum), checksum }, options.adapter);
    return XPrompt.assemble({ config, text, ...used }, options);
  }

  /** @internal A model from its parts, as the trainer has them. */
  static async assemble(
    parts: {
      readonly config: ModelConfig;
      readonly text: TextTokenizer;
      readonly weights: ReadonlyMap<string, Initializer>;
      readonly checksum: string;
    },
    options: SessionOptions = {},
  ): Promise<XPrompt> {
    const { config, text, weights, checksum } = parts;
    checkParts(config, text.vocabulary, weights);
    const fingerprint = fingerprintOf(config, checksum);
    const { decoder, image } = config;
    const base = await Chameleon.assemble(
      { config: { decoder, image, pictures: "chameleon" }, text, weights, fingerprint },
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
   * @throws XPromptError for a picture that can not be read, or no example
   */
  async compress(examples: readonly Example[]): Promise<VisualPrompt> {
    if (examples.length === 0) throw new UsageError("compressing: expected at least one example, got none");
    const pictures = await Promise.all(
      examples.flatMap(({ input, output }) => [
        loadPicture(input, this.size),
        loadPicture(output, this.size),
      ]),
    );
    const codes = await this.tokenizer.encodeImages(pictures);
    const encoded = examples.map(
      ({ instruction = "" }, i): EncodedExample => ({
        input: codes[2 * i]!,
        output: codes[2 * i + 1]!,
        instruction: this.words(instruction, 2),
      }),
    );
    return this.read(encoded);
  }

  /**
   * Draws pictures: what the examples show, done to the input; or what the instruction says; or both.
   * @throws UsageError for options out of range
   * @throws XPromptError for a picture that can not be read, or a prompt of another model
   * @throws the signal's reason, once it is aborted
   */
  async generate(options: GenerateOptions): Promise<Generated> {
    const started = performance.now();
    const shown = options.prompt === undefined ? [] : [options.prompt].flat();
    const pictures = options.input !== undefined || shown.length > 0 || options.library !== undefined;
    const {
      seed = randomSeed(),
      samples,
      guidance,
      k,
      minSimilarity,
      ...sampling
    } = checkRequest(options, this.config.xprompt.sampling, { pictures });
    const { signal } = options;
    signal?.throwIfAborted();
    this.joined(shown);
    const input = options.input === undefined ? undefined : await loadPicture(options.input, this.size);
    const [inputCodes] = input ? await this.tokenizer.encodeImages([input]) : [];
    const retrieved = await options.library?.retrieve(this, {
      instruction: options.instruction ?? "",
      ...(input && inputCodes && { input: { picture: options.input!, codes: inputCodes } }),
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
    // One picture per sample, and there is at least one sample.
    const images = (await this.tokenizer.decodeImages(drawn.codes)) as [Image, ...Image[]];
    const ended = performance.now();
    return {
      images,
      codes: drawn.codes,
      seed,
      settings: { ...sampling, guidance },
      model: this.fingerprint,
      ...(retrieved && { retrieved: retrieved.examples, bestSimilarity: retrieved.best }),
      tokens: {
        examples: blocks.reduce((sum, { length }) => sum + length, 0),
        prompt: drawn.promptTokens,
        generated: samples * side * side,
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
    const { temperature, seed = 0 } = checkRequest({ temperature: 0, ...options });
    const prompt = this.joined("prompt" in what ? what.prompt : await this.compress([what]));
    if (!prompt) throw new UsageError("describing: expected at least one example, got none");
    const words = await describeChange(this.decoder, this.vocabulary, this.config.xprompt, {
      blocks: prompt.blocks,
      seed,
      sampling: { temperature, topK: 0, topP: 1 },
      signal: options.signal,
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
    const { input, instruction = "" } = options;
    const pictures = await Promise.all(
      [options.output, ...(input === undefined ? [] : [input])].map((each) => loadPicture(each, this.size)),
    );
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
    const images = await Promise.all(pictures.map((picture) => loadPicture(picture, this.size)));
    return this.tokenizer.decodeImages(await this.tokenizer.encodeImages(images));
  }

  async release(): Promise<void> {
    await this.base.release();
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

  private empty(): Promise<VisualPrompt> {
    this.emptyExample ??= this.read([null]);
    return this.emptyExample;
  }

  private async read(examples: readonly (EncodedExample | null)[]): Promise<VisualPrompt> {
    const { tokens: xpTokens, mask } = this.config.xprompt;
    const blocks = [];
    for (const example of examples) {
      const tokens = exampleTokens(this.vocabulary, example, xpTokens);
      const kept = mask === "causal" ? tokens.length : xpTokens;
      blocks.push(await this.decoder.compress({ tokens, positions: [...tokens.keys()] }, kept));
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
  const { model_type, xprompt } = await readJson(path, z.looseObject({}), "model config");
  if (model_type === "chameleon" && xprompt === undefined)
    throw new XPromptError(
      `loading model ${folder}: expected a model with X-Prompt, got a plain Chameleon checkpoint (make it ready to learn with xprompt init --base ${folder}, or use it as it is with xprompt complete --model ${folder})`,
    );
  return modelConfigFromJson(await readJson(path, modelConfigSchema, "model config"));
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
