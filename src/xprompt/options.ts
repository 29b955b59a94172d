/** @file Options of the model's methods, and the result of `generate`. */
import type { z } from "zod";
import type { Sampling } from "../chameleon/model/sampling.ts";
import type { ByteImage, Image } from "../image/index.ts";
import type { Picture } from "../image/picture.ts";
import { type Names, sessionNames } from "../runtime/option-names.ts";
import type { SessionOptions } from "../runtime/session-options.ts";
import type { ExampleSource, RetrievedExample } from "./example-source.ts";
import type { VisualPrompt } from "./prompt.ts";
import {
  type changeSources,
  type describeSchema,
  type Guidance,
  type RequestSettings,
  requestSchema,
} from "./request.ts";

/** A before → after pair, with an optional instruction. */
export interface Example {
  readonly input: Picture;
  readonly output: Picture;
  readonly instruction?: string;
}

export interface LoadOptions extends SessionOptions {
  /** Folder of an adapter of this model, from training with `train: "lora"` or `"xp"`, or from Hugging Face's PEFT. */
  readonly adapter?: string;
}

export interface Progress {
  /** Complete rows of codes, of `rows`. */
  readonly row: number;
  readonly rows: number;
  /** The pictures so far; the rest shows the input picture, or grey without one. */
  preview(): Promise<Image[]>;
}

/** A request of `generate`. A setting out of its range is a UsageError that names it. */
export interface GenerateOptions extends RequestSettings {
  /** Examples of the task; they are compressed first. For repeated use, compress them once and pass `prompt`. */
  readonly examples?: readonly Example[];
  /** Compressed examples: one prompt, or several to use together. */
  readonly prompt?: VisualPrompt | readonly VisualPrompt[];
  /** Where to retrieve examples for the request: `new Retriever(library)`. */
  readonly library?: ExampleSource;
  /** Number of examples to retrieve from the library, 1 to 64. Defaults to 1. */
  readonly k?: number;
  /** Ignore examples of the library with a lower similarity, −1 to 1; 1 means identical. Defaults to no limit. */
  readonly minSimilarity?: number;
  /** The picture to change. Without it the model generates from instruction and examples alone. */
  readonly input?: Picture;
  /** The instruction. */
  readonly instruction?: string;
  /**
   * Return results with the size and shape of `input`; an `Image` may then have any size. The model sees the whole
   * picture, squeezed to a square, instead of the center crop. Defaults to false.
   */
  readonly fullSize?: boolean;
  /** The same seed, model, device and number of threads give the same pictures. Defaults to a random seed. */
  readonly seed?: number;
  /** Number of pictures to generate, 1 to 64. Defaults to 1. */
  readonly samples?: number;
  /** Divides the logits, 0 to 100; 0 takes the most likely code. Defaults to the model's recommendation, else 1. */
  readonly temperature?: number;
  /** Sample from the k most likely codes; 0 means all. Defaults to the model's recommendation, else 0. */
  readonly topK?: number;
  /** Sample from the most likely codes with this total probability, above 0, at most 1. Defaults to the model's recommendation, else 1. */
  readonly topP?: number;
  /**
   * Classifier-free guidance: how strongly to follow each condition, 0 to 100; 1 is plain sampling. A number is for the examples,
   * or for the instruction if there are none. Defaults to the model's recommendation, else 1.
   */
  readonly guidance?: Guidance;
  /**
   * Show at each place the mean of all codes under the model's distribution, with the sampled codes as context. The
   * result is smoother than a sample, and nearer to the truth on average. Defaults to false with several `samples`, or if
   * `temperature`, `topK` or `topP` are given, which ask for a sample; else to the model's recommendation, else false.
   */
  readonly expected?: boolean;
  /**
   * Sample all codes from one run of the model that sees none of them, instead of one after another. Only for models
   * that were trained with hidden targets (`mix.targetDropout`). Defaults to the model's recommendation, else false.
   */
  readonly onePass?: boolean;
  /**
   * At full size: if a map of colours explains the examples, apply this map to `input` instead of the change that the model
   * drew. It is exact where the drawing is not. Not with an instruction, unless all examples were retrieved and have the same
   * one. Defaults to true.
   */
  readonly exampleColours?: boolean;
  /**
   * Guess codes ahead and verify several per run of the model, which takes fewer runs. Defaults to true with plain weights,
   * whose pictures stay the same, and to false with quantized weights, whose pictures may be others.
   */
  readonly draft?: boolean;
  /** Called after every row of codes; with `onePass`, once. */
  onProgress?(progress: Progress): void | Promise<void>;
  readonly signal?: AbortSignal;
}

/** A request of `stream`: the loop over its steps replaces `onProgress`. */
export type StreamOptions = Omit<GenerateOptions, "onProgress">;

/** The state of a request after one more code of each picture; with `onePass`, after all codes. */
export interface GenerateStep<P extends Image | ByteImage = Image> {
  /** The codes so far in row-major order, `[samples][step]`. */
  readonly codes: readonly (readonly number[])[];
  /** Codes per picture. */
  readonly codesPerImage: number;
  /** The number of complete rows, after the last code of a row. */
  readonly row?: { readonly row: number; readonly rows: number };
  /** The pictures so far; the rest shows the input picture, or grey without one. */
  preview(): Promise<Image[]>;
  /** The result, as `generate` returns it; only in the last step. */
  readonly result?: Generated<P>;
}

/** A request, and the picture to score as its answer. */
export interface ScoreOptions extends Pick<GenerateOptions, "prompt" | "input" | "instruction"> {
  readonly output: Picture;
}

export interface CompressOptions {
  /** Called after each example. */
  onProgress?(progress: { readonly done: number; readonly examples: number }): void | Promise<void>;
  readonly signal?: AbortSignal;
}

export interface DescribeOptions extends z.input<typeof describeSchema> {
  /** With a temperature above 0, the same seed gives the same words. Defaults to 0. */
  readonly seed?: number;
  /** Divides the logits; 0 takes the most likely token. Defaults to 0. */
  readonly temperature?: number;
  readonly signal?: AbortSignal;
}

/** How the codes were sampled and shown. */
export interface DrawingSettings extends Sampling {
  readonly guidance: Guidance;
  readonly expected: boolean;
  readonly onePass: boolean;
}

export interface Generated<P extends Image | ByteImage = Image> {
  /**
   * One picture per sample: in 8 bits at the size of the input with `fullSize`, else at the model's size. All are alike
   * if they do not depend on the codes: with a change from `"example colours"`, and with `expected` and `onePass`.
   */
  readonly images: readonly [P, ...P[]];
  /** With `fullSize`: whether the change is the map of colours that explains the examples, or the model's drawing. */
  readonly changeFrom?: (typeof changeSources)[number];
  /**
   * The codes that were sampled, `[samples][codesPerImage]`. The pictures are not decoded from them with a change from
   * `"example colours"`, nor with `expected`.
   */
  readonly codes: readonly (readonly number[])[];
  readonly seed: number;
  /** All sampling settings, defaults included. */
  readonly settings: DrawingSettings;
  /** Fingerprint of the model. */
  readonly model: string;
  /** Examples from the library, most similar first. */
  readonly retrieved?: readonly RetrievedExample[];
  /** The similarity of the best example in the library, when it is below `minSimilarity`. */
  readonly bestSimilarity?: number;
  readonly tokens: {
    readonly examples: number;
    readonly prompt: number;
    readonly generated: number;
    /** Number of tokens at the end of the instruction that the model ignored, because the instruction is too long. */
    readonly unread: number;
  };
  /** Runs of the model that gave the codes, codes that were drafted ahead, and how many of these were right. */
  readonly steps: { readonly runs: number; readonly drafted: number; readonly accepted: number };
  /** In milliseconds. */
  readonly timings: {
    readonly prepare: number;
    readonly draw: number;
    readonly decode: number;
    readonly total: number;
  };
}

/** Names of the settings of a request. */
const settingNames = Object.fromEntries(
  Object.keys(requestSchema.shape).map((name) => [name, true]),
) as Names<RequestSettings>;

const streamNames = {
  ...{ examples: true, prompt: true, library: true, input: true, instruction: true },
  ...{ fullSize: true, signal: true },
  ...settingNames,
} as const satisfies Names<StreamOptions>;

/** The option names of each method. */
export const optionNames = {
  session: sessionNames,
  load: { adapter: true, ...sessionNames } satisfies Names<LoadOptions>,
  compress: { onProgress: true, signal: true } satisfies Names<CompressOptions>,
  stream: streamNames,
  generate: { ...streamNames, onProgress: true } satisfies Names<GenerateOptions>,
  score: { prompt: true, input: true, instruction: true, output: true } satisfies Names<ScoreOptions>,
  describe: { seed: true, temperature: true, signal: true } satisfies Names<DescribeOptions>,
};
