/** @file The options of the model's methods, and what `generate` returns. */
import type { z } from "zod";
import type { Sampling } from "../chameleon/model/sampling.ts";
import { UsageError } from "../errors.ts";
import type { ByteImage, Image } from "../image/index.ts";
import type { Picture } from "../image/picture.ts";
import type { SessionOptions } from "../runtime/session-options.ts";
import { closest } from "../spelling.ts";
import type { ExampleSource, RetrievedExample } from "./example-source.ts";
import type { VisualPrompt } from "./prompt.ts";
import { type describeSchema, type Guidance, type RequestSettings, requestSchema } from "./request.ts";

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
  /** The pictures so far; what is not there yet shows the input picture, or grey where there is none. */
  preview(): Promise<Image[]>;
}

/** What to make, and the settings of a request; their ranges and defaults are those of `requestSchema`. */
export interface GenerateOptions extends RequestSettings {
  /** What to do, by example: pairs, which are compressed first. Compress those that are used often once. */
  readonly examples?: readonly Example[];
  /** The same, compressed already: one prompt, or several that are used together. */
  readonly prompt?: VisualPrompt | readonly VisualPrompt[];
  /** Where to look for examples like the request: `new Retriever(library)`. */
  readonly library?: ExampleSource;
  /** Examples to take from the library. Defaults to 1. */
  readonly k?: number;
  /** Take no example of the library that is less like what is asked for, 1 being the same. Defaults to any. */
  readonly minSimilarity?: number;
  /** The picture to change; without it the model draws from words and examples alone. */
  readonly input?: Picture;
  /** What to do, in words. */
  readonly instruction?: string;
  /**
   * Give the results the size and shape of `input`, which may then be an `Image` of any size. The model sees the whole
   * picture, squeezed to a square, instead of its middle. Defaults to false.
   */
  readonly fullSize?: boolean;
  /** The same seed, model, device and number of threads give the same pictures. Defaults to a random seed. */
  readonly seed?: number;
  /** Pictures to draw. Defaults to 1. */
  readonly samples?: number;
  /** Divides the logits; 0 takes the likeliest code. Defaults to what the model recommends, else 1. */
  readonly temperature?: number;
  /** Sample from the k likeliest codes only; 0 for all. Defaults to what the model recommends, else 0. */
  readonly topK?: number;
  /** Sample from the likeliest codes that make up this share of the probability. Defaults to what the model recommends, else 1. */
  readonly topP?: number;
  /**
   * How strongly the conditions are followed, each against not having it; 1 is plain sampling. A number is for the
   * examples, or for the instruction where there are none. Defaults to what the model recommends, else 1.
   */
  readonly guidance?: Guidance;
  /**
   * Show at each place the mean of all codes under the model's distribution there, along the codes that are sampled,
   * instead of the sampled code alone: smoother, and nearer to the truth on average. Defaults to false.
   */
  readonly expected?: boolean;
  /** Called after every row of codes. */
  onProgress?(progress: Progress): void | Promise<void>;
  readonly signal?: AbortSignal;
}

/** A request as `stream` takes it: the loop over its steps stands for `onProgress`. */
export type StreamOptions = Omit<GenerateOptions, "onProgress">;

/** What there is of a request after another code of each picture. */
export interface GenerateStep<P extends Image | ByteImage = Image> {
  /** Codes so far, row by row of the picture: `[samples][step]`. */
  readonly codes: readonly (readonly number[])[];
  /** Codes of a whole picture. */
  readonly codesPerImage: number;
  /** The pictures so far; what is not there yet shows the input picture, or grey where there is none. */
  preview(): Promise<Image[]>;
  /** What `generate` returns, with the last step. */
  readonly result?: Generated<P>;
}

/** A request as `generate` takes it, and the picture that is to answer it. */
export interface ScoreOptions extends Pick<GenerateOptions, "prompt" | "input" | "instruction"> {
  readonly output: Picture;
}

export interface CompressOptions {
  /** Called after each example. */
  onProgress?(progress: { readonly done: number; readonly examples: number }): void | Promise<void>;
  readonly signal?: AbortSignal;
}

export interface DescribeOptions extends z.input<typeof describeSchema> {
  /** The same seed gives the same words, with a temperature. Defaults to 0. */
  readonly seed?: number;
  /** 0 takes the likeliest word each time. Defaults to 0. */
  readonly temperature?: number;
  readonly signal?: AbortSignal;
}

export interface Generated<P extends Image | ByteImage = Image> {
  /** One picture per sample: at the size of the input with `fullSize`, in 8 bits; else of the model's size. */
  readonly images: readonly [P, ...P[]];
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
  readonly tokens: {
    readonly examples: number;
    readonly prompt: number;
    readonly generated: number;
    /** Text tokens at the end of the instruction that the model does not read, being too many. */
    readonly unread: number;
  };
  /** Milliseconds. */
  readonly timings: {
    readonly prepare: number;
    readonly draw: number;
    readonly decode: number;
    readonly total: number;
  };
}

/** Each of the settings of a request. */
const settingNames = Object.fromEntries(
  Object.keys(requestSchema.shape).map((name) => [name, true]),
) as Names<RequestSettings>;

const streamNames = {
  ...{ examples: true, prompt: true, library: true, input: true, instruction: true },
  ...{ fullSize: true, signal: true },
  ...settingNames,
} as const satisfies Names<StreamOptions>;

const sessionNames = { device: true, threads: true, arena: true } as const satisfies Names<SessionOptions>;

/** The names of all options of each method. */
export const optionNames = {
  session: sessionNames,
  load: { adapter: true, ...sessionNames } satisfies Names<LoadOptions>,
  compress: { onProgress: true, signal: true } satisfies Names<CompressOptions>,
  stream: streamNames,
  generate: { ...streamNames, onProgress: true } satisfies Names<GenerateOptions>,
  score: { prompt: true, input: true, instruction: true, output: true } satisfies Names<ScoreOptions>,
  describe: { seed: true, temperature: true, signal: true } satisfies Names<DescribeOptions>,
};

type Names<Options> = Record<keyof Options, true>;

/**
 * @param known the names of all options
 * @throws UsageError for an option that does not exist, with its name: it would be ignored otherwise
 */
export function checkKeys(doing: string, options: object, known: Readonly<Record<string, true>>): void {
  const wrong = Object.entries(options).find(
    ([key, value]) => value !== undefined && !Object.hasOwn(known, key),
  );
  if (!wrong) return;
  const names = Object.keys(known);
  throw new UsageError(
    `${doing}: expected ${names.join(", ")}, got ${wrong[0]} (did you mean ${closest(wrong[0], names)}?)`,
  );
}
