/** @file A Chameleon-family model as published: text and pictures in, text and pictures out. */
import { UsageError, XPromptError } from "../errors.ts";
import type { Image } from "../image/image.ts";
import { loadPicture, type Picture } from "../image/picture.ts";
import { type Preprocessing, preprocess } from "../image/preprocess.ts";
import { randomSeed } from "../random.ts";
import { checkKeys, type Names, sessionNames } from "../runtime/option-names.ts";
import type { SessionOptions } from "../runtime/session-options.ts";
import { onceVerified } from "../runtime/verified.ts";
import { checkSettings } from "../settings.ts";
import type { ChameleonConfig } from "./checkpoint/config.ts";
import type { ChameleonOptions, ChameleonParts } from "./checkpoint/read.ts";
import {
  type CompleteSettings,
  type CompletionGuidance,
  completeSchema,
  completeTokens,
  promptTokens,
} from "./model/complete.ts";
import { Decoder } from "./model/decoder.ts";
import { Grammar, type Mode, type PictureLayout, pictureLayout } from "./model/grammar.ts";
import { ImageTokenizer, isOfImages, type Pixels } from "./tokenizers/image-tokenizer.ts";
import { Tokenizer } from "./tokenizers/tokenizer.ts";
import { gridSide } from "./tokenizers/vqgan.ts";

/** A text or a picture. The path of a picture file is wrapped, to tell it from text: `{ picture: "photo.jpg" }`. */
export type PromptPart = string | Image | Uint8Array | { readonly picture: Picture };

/** A text, a picture, or the picture's codes `[grid²]` if the checkpoint has no picture decoder. */
export type CompletedPart = string | Image | Int32Array;

/** The prompt and settings of a completion. A setting out of its range is a UsageError that names it. */
export interface CompleteOptions extends CompleteSettings {
  /** Text and pictures in any order. */
  readonly prompt: readonly PromptPart[];
  /** What to generate: text, one picture, or text with pictures in it. */
  readonly mode: Mode;
  /**
   * The most tokens to generate. A picture needs `tokensPerImage` of them; it is complete or absent. Defaults to 256 for
   * text, the length of a picture for an image, their sum for both, and at most to the remaining positions.
   */
  readonly maxTokens?: number;
  /** The same seed, model, device and number of threads give the same result. Defaults to a random seed. */
  readonly seed?: number;
  /** Divides the logits, 0 to 100; 0 takes the most likely token. Defaults to 1. */
  readonly temperature?: number;
  /** Sample from the k most likely tokens; 0 means all. Defaults to 0. */
  readonly topK?: number;
  /** Sample from the most likely tokens with this total probability. Defaults to 1. */
  readonly topP?: number;
  /**
   * Classifier-free guidance of generated pictures: `image` weighs the pictures of the prompt against no prompt, `text`
   * the whole prompt against its pictures alone; 1 is plain sampling. A number is for the text, or for the pictures if
   * there is no text. Defaults to 1.
   */
  readonly guidance?: number | Partial<CompletionGuidance>;
  /** Number of completions of the prompt, 1 to 64. Defaults to 1. */
  readonly samples?: number;
  /** End the prompt with the separator, which asks for an answer instead of a continuation. Defaults to true. */
  readonly separator?: boolean;
  readonly signal?: AbortSignal;
  /** Called after each step. */
  onProgress?(progress: CompletionProgress): void | Promise<void>;
}

export interface CompletionProgress {
  /** Length of the longest sample so far, at most `maxTokens`. */
  readonly tokens: number;
  readonly maxTokens: number;
  /** The parts of each sample so far; pictures as codes, possibly incomplete. */
  parts(): (string | Int32Array)[][];
}

export interface Completion {
  readonly parts: readonly CompletedPart[];
  /** Ids of all generated tokens. */
  readonly tokens: readonly number[];
}

/** The first sample, and all of them. */
export interface Completed extends Completion {
  readonly samples: readonly Completion[];
  readonly seed: number;
  /** Fingerprint of the model. */
  readonly model: string;
  /** Number of tokens in the prompt. */
  readonly promptTokens: number;
  /** In milliseconds. */
  readonly timings: {
    readonly prepare: number;
    readonly draw: number;
    readonly decode: number;
    readonly total: number;
  };
}

/** The option names of `load`. */
const loadNames = {
  imageTokenizer: true,
  pictures: true,
  ...sessionNames,
} as const satisfies Names<ChameleonOptions>;

/** The option names of `complete`. */
const completeNames = {
  ...{ prompt: true, mode: true, maxTokens: true, samples: true, separator: true },
  ...{ seed: true, temperature: true, topK: true, topP: true, guidance: true },
  ...{ signal: true, onProgress: true },
} as const satisfies Names<CompleteOptions>;

/** Default limit of text tokens. */
const TEXT_TOKENS = 256;

/**
 * A plain model of the Chameleon family: it reads and writes text and pictures in one sequence of tokens, without examples.
 * `Chameleon.load` opens a folder; `release` (or `await using`) frees its sessions.
 */
export class Chameleon {
  private constructor(
    readonly config: ChameleonConfig,
    /** Identifies the weights and sizes. */
    readonly fingerprint: string,
    /** Converts pictures to codes and text to ids, and back. */
    readonly tokenizer: Tokenizer,
    /** @internal The language model. */
    readonly decoder: Decoder,
    private readonly layout: PictureLayout,
    private readonly preprocessing: Preprocessing | undefined,
  ) {}

  /**
   * Loads a checkpoint in Hugging Face's layout: `config.json`, `tokenizer.json`, and safetensors in one file or
   * several, as float32, float16 or bfloat16. If the checkpoint has no picture decoder, it is read from Meta's
   * `vqgan.ckpt` in the folder, or from `imageTokenizer`.
   * @throws XPromptError when a file is missing or damaged, the files belong to different models, the model is of
   * another family, or the device is not available
   * @example const model = await Chameleon.load("models/anole-7b");
   */
  static async load(folder: string, options: ChameleonOptions = {}): Promise<Chameleon> {
    checkKeys("loading a model", options, loadNames);
    const { readCheckpoint } = await import("./checkpoint/read.ts"); // our own models do not need it
    const parts = await readCheckpoint(folder, options);
    return onceVerified(Chameleon.assemble(parts, options), parts);
  }

  /** @internal Builds a model from parts that were checked. */
  static async assemble(parts: ChameleonParts, options: SessionOptions = {}): Promise<Chameleon> {
    const { config, text, weights, fingerprint, preprocessing } = parts;
    const layout = pictureLayout(text.vocabulary, gridSide(config.image), config.pictures);
    const part = (wanted: (name: string) => boolean) =>
      new Map([...weights].filter(([name]) => wanted(name)));
    const image = new ImageTokenizer(config.image, part(isOfImages), { ...options, preprocessing });
    const decoder = await Decoder.create(
      config.decoder,
      part((name) => !isOfImages(name)),
      options,
    );
    return new Chameleon(config, fingerprint, new Tokenizer(text, image), decoder, layout, preprocessing);
  }

  /** Edge length of the pictures in pixels. */
  get size(): number {
    return this.tokenizer.size;
  }

  /** Codes per picture, grid². */
  get codesPerImage(): number {
    return this.tokenizer.codesPerImage;
  }

  /** Tokens of a generated picture: its codes, and those that enclose them. */
  get tokensPerImage(): number {
    return this.layout.length;
  }

  /**
   * Logits of the next token after each token of a sequence. Image tokens are not masked, unlike in Hugging Face's
   * forward pass.
   * @param tokens ids `[T]`, at positions 0 to T − 1
   * @returns `[T, vocabulary]`, row-major
   * @throws UsageError for no tokens, too many, or an id outside the vocabulary
   */
  async logits(tokens: readonly number[]): Promise<Float32Array> {
    const { vocabularySize, maxPositions } = this.config.decoder;
    const unknown = tokens.find((id) => !(Number.isInteger(id) && id >= 0 && id < vocabularySize));
    if (tokens.length < 1 || tokens.length > maxPositions)
      throw new UsageError(`logits: expected 1 to ${maxPositions} tokens, got ${tokens.length}`);
    if (unknown !== undefined)
      throw new UsageError(`logits: expected ids from 0 to ${vocabularySize - 1}, got ${unknown}`);
    return this.decoder.logits(tokens);
  }

  /**
   * The tokens that `complete` uses for a prompt: *begin*, text and pictures in order, then the separator unless
   * `separator` is false.
   */
  async promptTokens(prompt: readonly PromptPart[], { separator = true } = {}): Promise<number[]> {
    const pictures = await Promise.all(
      prompt.filter((part) => typeof part !== "string").map((part) => this.pixels(pictureOf(part))),
    );
    const codes = await this.tokenizer.encodeImages(pictures);
    const pieces = prompt.map((part) => (typeof part === "string" ? part : codes.shift()!));
    const { vocabulary } = this.tokenizer;
    const encoder = { encode: (text: string) => this.tokenizer.encodeText(text) };
    return promptTokens(pieces, encoder, vocabulary, this.layout, separator);
  }

  /**
   * Completes a prompt. A result contains only complete pictures, and no control tokens in its text.
   * @throws UsageError for options that are unknown or out of range
   * @throws XPromptError for a picture that cannot be read, or a prompt that leaves no room for an answer
   * @throws the signal's reason when it is aborted
   * @example
   * const { parts } = await model.complete({ prompt: [image, "What is this?"], mode: "text", temperature: 0 });
   */
  async complete(options: CompleteOptions): Promise<Completed> {
    const started = performance.now();
    checkKeys("completing", options, completeNames);
    const settings = checkSettings("completing", completeSchema, options);
    const { mode, samples, guidance, separator, temperature, topK, topP, seed = randomSeed() } = settings;
    const { signal } = options;
    signal?.throwIfAborted();
    checkPrompt(options.prompt);
    const prompt = await this.promptTokens(options.prompt, { separator });
    const maxTokens = this.budget(mode, prompt.length, settings.maxTokens);
    const { vocabulary } = this.tokenizer;
    const grammar = new Grammar(vocabulary, this.layout, mode, maxTokens);
    const prepared = performance.now();
    const steps = completeTokens(this.decoder, vocabulary, {
      prompt,
      maxTokens,
      grammar,
      mode,
      layout: this.layout,
      unconditional: this.config.pictures === "lumina" ? [] : [vocabulary.bos],
      guidance,
      samples,
      seed,
      sampling: { temperature, topK, topP },
      signal,
    });
    let made: readonly (readonly number[])[] = [];
    for await (made of steps) {
      const rows = made;
      const lengths = rows.map(({ length }) => length); // the rows only grow, so copy them only on demand
      await options.onProgress?.({
        tokens: Math.max(...lengths),
        maxTokens,
        parts: () => rows.map((row, i) => this.read(grammar, row.slice(0, lengths[i]))),
      });
    }
    signal?.throwIfAborted();
    const done = performance.now();
    const completions: Completion[] = [];
    for (const tokens of made) completions.push({ parts: await this.parts(grammar, tokens), tokens });
    const ended = performance.now();
    return {
      ...completions[0]!,
      samples: completions,
      seed,
      model: this.fingerprint,
      promptTokens: prompt.length,
      timings: {
        prepare: prepared - started,
        draw: done - prepared,
        decode: ended - done,
        total: ended - started,
      },
    };
  }

  /** Frees the memory. Further calls do nothing; any other method throws an XPromptError afterwards. */
  async release(): Promise<void> {
    await Promise.all([this.decoder.release(), this.tokenizer.release()]);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }

  /**
   * @internal A picture as input of the image tokenizer: preprocessed as by the checkpoint's processor, or else [−1,
   * 1].
   * @param name the option that holds the picture, for errors
   */
  async pixels(picture: Picture, name?: string): Promise<Pixels> {
    if (!this.preprocessing) return loadPicture(picture, { size: this.size, name });
    return preprocess(await loadPicture(picture, { name }), this.preprocessing);
  }

  /** The most tokens that can be generated after a prompt of this length. */
  private budget(mode: Mode, promptLength: number, requested: number | undefined): number {
    const { maxPositions } = this.config.decoder;
    const room = maxPositions - promptLength;
    const least = mode === "image" ? this.tokensPerImage : 1;
    if (room < least)
      throw new XPromptError(
        `completing: expected a prompt of at most ${maxPositions - least} tokens, got ${promptLength} (shorten it, or use fewer pictures)`,
      );
    if (requested !== undefined && requested > room)
      throw new UsageError(
        `completing: maxTokens: expected at most ${room}, the rest of ${maxPositions} positions, got ${requested} (use a lower value)`,
      );
    const picture = this.tokensPerImage;
    const defaults = { text: TEXT_TOKENS, image: picture, interleaved: TEXT_TOKENS + picture };
    return requested ?? Math.min(room, defaults[mode]);
  }

  private read(grammar: Grammar, tokens: readonly number[]): (string | Int32Array)[] {
    return grammar
      .parse(tokens)
      .map((piece) => ("codes" in piece ? piece.codes : this.tokenizer.decodeText(piece.text)));
  }

  private async parts(grammar: Grammar, tokens: readonly number[]): Promise<CompletedPart[]> {
    const parts: CompletedPart[] = [];
    for (const part of this.read(grammar, tokens))
      parts.push(
        typeof part !== "string" && this.tokenizer.decodesImages
          ? await this.tokenizer.decodeImage(part)
          : part,
      );
    return parts;
  }
}

const pictureOf = (part: Exclude<PromptPart, string>): Picture => ("picture" in part ? part.picture : part);

function checkPrompt(prompt: unknown): void {
  const isPart = (part: unknown) =>
    typeof part === "string" ||
    part instanceof Uint8Array ||
    (typeof part === "object" && part !== null && ("picture" in part || "data" in part));
  if (!Array.isArray(prompt) || !prompt.every(isPart))
    throw new UsageError(
      "completing: prompt: expected an array of texts and pictures, got something else (wrap the path of a picture: { picture: path })",
    );
}
