/** @file The public model class: load, compress examples, generate pictures. */
import { Chameleon } from "../chameleon/chameleon.ts";
import { Batch } from "../chameleon/model/batch.ts";
import type { Tokenizer } from "../chameleon/tokenizers/tokenizer.ts";
import { UsageError } from "../errors.ts";
import type { ByteImage, Image } from "../image/index.ts";
import type { Picture } from "../image/picture.ts";
import { checkKeys } from "../runtime/option-names.ts";
import type { SessionOptions } from "../runtime/session-options.ts";
import { onceVerified } from "../runtime/verified.ts";
import { checkSettings } from "../settings.ts";
import { checkParts } from "./check-parts.ts";
import { Compressor } from "./compress.ts";
import { fingerprintOf, type ModelConfig } from "./config.ts";
import { describeChange } from "./describe.ts";
import { atFullSize } from "./full-size.ts";
import { generated, generateSteps } from "./generate.ts";
import { readModel } from "./load.ts";
import {
  type CompressOptions,
  type DescribeOptions,
  type Example,
  type Generated,
  type GenerateOptions,
  type GenerateStep,
  type LoadOptions,
  optionNames,
  type ScoreOptions,
  type StreamOptions,
} from "./options.ts";
import { type ModelFiles, type ModelParts, partsOf } from "./parts.ts";
import type { VisualPrompt } from "./prompt.ts";
import { describeSchema } from "./request.ts";
import { codeNats } from "./score.ts";

export type * from "./options.ts";
export type { Picture };

/**
 * A model with X-Prompt: it compresses examples, generates pictures and describes changes. `XPrompt.load` opens one by name
 * or folder; `release` (or `await using`) frees its sessions.
 *
 * ```ts
 * await using model = await XPrompt.load("nano");
 * const prompt = await model.compress([{ input: "before.png", output: "after.png" }]);
 * const { images } = await model.generate({ prompt, input: "photo.jpg", fullSize: true });
 * ```
 */
export class XPrompt {
  /** @internal */
  readonly compressor: Compressor;
  /** @internal */
  readonly fullSize = atFullSize;

  private constructor(
    readonly config: ModelConfig,
    /** Identifies the weights and sizes; stored in visual prompts. */
    readonly fingerprint: string,
    /** The Chameleon model inside: tokenizers, logits, completions without X-Prompt. */
    readonly base: Chameleon,
  ) {
    this.compressor = new Compressor(config, fingerprint, base);
  }

  /**
   * Loads a model.
   * @param nameOrPath "nano", or a model folder
   * @throws XPromptError when the folder is missing or damaged, the adapter does not fit, or the device is not
   * available
   * @example const model = await XPrompt.load("nano");
   */
  static async load(nameOrPath: string, options: LoadOptions = {}): Promise<XPrompt> {
    if (typeof nameOrPath !== "string")
      throw new UsageError(`loading a model: expected a name or a folder, got ${typeof nameOrPath}`);
    checkKeys("loading a model", options, optionNames.load);
    const parts = await readModel(nameOrPath, options.adapter);
    return onceVerified(XPrompt.assemble(parts, options), parts);
  }

  /**
   * A model from the bytes of its files.
   * @throws XPromptError when they are damaged or do not belong together, or the device is not available
   */
  static async fromFiles(files: ModelFiles, options: SessionOptions = {}): Promise<XPrompt> {
    if (typeof files !== "object" || files === null)
      throw new UsageError("loading a model: expected the bytes of its files by name, got something else");
    checkKeys("loading a model", options, optionNames.session);
    return XPrompt.assemble(await partsOf(files), options);
  }

  /** @internal Builds a model from its parts; used by training. */
  static async assemble(parts: ModelParts, options: SessionOptions = {}): Promise<XPrompt> {
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

  /** Converts pictures to codes and text to ids, and back. */
  get tokenizer(): Tokenizer {
    return this.base.tokenizer;
  }

  /**
   * Logits of the next token after each token of a sequence, image tokens included.
   * @param tokens ids `[T]`, at positions 0 to T − 1
   * @returns `[T, vocabulary]`, row-major
   * @throws UsageError for no tokens, too many, or an id outside the vocabulary
   */
  async logits(tokens: readonly number[]): Promise<Float32Array> {
    return this.base.logits(tokens);
  }

  /** Edge length of the pictures in pixels. */
  get size(): number {
    return this.config.image.resolution;
  }

  /** Image codes per picture. */
  get codesPerImage(): number {
    return this.tokenizer.codesPerImage;
  }

  /** Number of tokens at the end of an instruction that the model ignores, in a sequence with `pictures` pictures. */
  unreadTokens(instruction: string, pictures: 0 | 1 | 2): number {
    return this.compressor.unreadTokens(instruction, pictures);
  }

  /**
   * Compresses examples: keeps the keys and values of S XP tokens for each, whatever its length.
   * @throws XPromptError for a picture that cannot be read; UsageError without examples
   * @throws the signal's reason when it is aborted
   */
  async compress(examples: readonly Example[], options: CompressOptions = {}): Promise<VisualPrompt> {
    checkKeys("compressing", options, optionNames.compress);
    return this.compressor.compress(examples, options);
  }

  /**
   * Generates pictures: applies what the examples show, or the instruction says, or both, to the input.
   * @throws UsageError for options out of range
   * @throws XPromptError for a picture that cannot be read, or a prompt of another model
   * @throws the signal's reason when it is aborted
   */
  async generate(options: GenerateOptions & { readonly fullSize: true }): Promise<Generated<ByteImage>>;
  async generate(options: GenerateOptions & { readonly fullSize?: false }): Promise<Generated>;
  async generate(options: GenerateOptions): Promise<Generated<Image | ByteImage>>;
  async generate(options: GenerateOptions): Promise<Generated<Image | ByteImage>> {
    checkKeys("generating", options, optionNames.generate);
    return generated(this, options, new Batch(this.base.decoder));
  }

  /**
   * Generates pictures as `generate` does, in one step per code, or with `onePass` in one step. Use it to show previews;
   * leaving the loop stops the work. The last step has the result.
   * @throws as `generate`
   * @example
   * for await (const { row, preview, result } of model.stream({ prompt, input })) {
   *   if (result) await savePng("out.png", result.images[0]);
   *   else if (row) show(await preview());
   * }
   */
  stream(options: StreamOptions & { readonly fullSize: true }): AsyncGenerator<GenerateStep<ByteImage>>;
  stream(options: StreamOptions & { readonly fullSize?: false }): AsyncGenerator<GenerateStep>;
  stream(options: StreamOptions): AsyncGenerator<GenerateStep<Image | ByteImage>>;
  stream(options: StreamOptions): AsyncGenerator<GenerateStep<Image | ByteImage>> {
    checkKeys("generating", options, optionNames.stream);
    return generateSteps(this, options, new Batch(this.base.decoder));
  }

  /**
   * Describes in words what an example changes, or what the examples of a prompt share (paper: difference description).
   * @throws UsageError for options out of range
   * @throws XPromptError for a picture that cannot be read, or a prompt of another model
   * @example const text = await model.describe({ input: before, output: after });
   */
  async describe(
    what: Example | readonly Example[] | { readonly prompt: VisualPrompt | readonly VisualPrompt[] },
    options: DescribeOptions = {},
  ): Promise<string> {
    checkKeys("describing", options, optionNames.describe);
    const { temperature, seed } = checkSettings("describing", describeSchema, options);
    const { signal } = options;
    if (typeof what !== "object" || what === null)
      throw new UsageError(`describing: expected examples or a prompt, got ${String(what)}`);
    const prompt = this.compressor.joined(
      "describing",
      "prompt" in what ? what.prompt : await this.compress([what].flat(), { signal }),
    );
    if (!prompt) throw new UsageError("describing: expected at least one example, got none");
    const words = await describeChange(this.base.decoder, this.tokenizer.vocabulary, this.config.xprompt, {
      blocks: prompt.blocks,
      seed,
      sampling: { temperature, topK: 0, topP: 1 },
      signal,
    });
    return this.tokenizer.decodeText(words).trim();
  }

  /**
   * How likely a picture is as the answer to a request. A low sum means likely.
   * @returns negative log-likelihood of each code in nats, given the request and the codes before it, `[codesPerImage]`
   * @throws XPromptError for a picture that cannot be read, or a prompt of another model
   * @example const nats = await model.score({ prompt, input: query, output: truth });
   */
  async score(options: ScoreOptions): Promise<number[]> {
    checkKeys("scoring", options, optionNames.score);
    const { input, output, instruction = "" } = options;
    const pictures = await Promise.all([
      this.base.pixels(output, "output"),
      ...(input === undefined ? [] : [this.base.pixels(input, "input")]),
    ]);
    const [target, inputCodes] = await this.tokenizer.encodeImages(pictures);
    const prompt = this.compressor.joined("scoring", options.prompt) ?? (await this.compressor.empty());
    return codeNats(this.base.decoder, this.tokenizer.vocabulary, this.config.xprompt, {
      blocks: prompt.blocks,
      query: {
        input: inputCodes,
        instruction: this.compressor.words(instruction, input === undefined ? 0 : 1),
      },
      target: target!,
    });
  }

  /** Encodes and decodes pictures with the image tokenizer: an upper bound on the quality of generated pictures. */
  async reconstruct(pictures: readonly Picture[]): Promise<Image[]> {
    if (!Array.isArray(pictures))
      throw new UsageError("reconstructing: expected an array of pictures, got something else");
    const images = await Promise.all(
      pictures.map((picture, i) => this.base.pixels(picture, `pictures[${i}]`)),
    );
    return this.tokenizer.decodeImages(await this.tokenizer.encodeImages(images));
  }

  /** Frees the memory. Further calls do nothing; any other method throws an XPromptError afterwards. */
  async release(): Promise<void> {
    await this.base.release();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }
}
