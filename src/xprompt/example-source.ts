/** @file The interface through which `generate` retrieves examples (paper: RAIE). */
import type { Chameleon } from "../chameleon/chameleon.ts";
import type { ColourSums } from "../image/example-colours.ts";
import type { Picture } from "../image/picture.ts";
import type { ModelConfig } from "./config.ts";
import type { VisualPrompt } from "./prompt.ts";
import type { Codes } from "./sequence.ts";

export interface ExampleRequest {
  /** The instruction; may be empty. */
  readonly instruction: string;
  /** The picture to change, with its codes. */
  readonly input?: { readonly picture: Picture; readonly codes: Codes };
  /** Number of examples to retrieve. */
  readonly k: number;
  /** Leave out examples with a lower similarity. */
  readonly minSimilarity?: number;
  readonly signal?: AbortSignal;
}

/** A retrieved example, with its similarity to the request. */
export interface RetrievedExample {
  readonly id: string;
  readonly instruction: string;
  readonly source: string;
  /** Total similarity to the request, at most 1. */
  readonly similarity: number;
  /** 1 − similarity. */
  readonly distance: number;
  /** The components of the similarity: texts, images, words. */
  readonly parts: Readonly<Record<string, number>>;
  /** Whether the compressed example was stored in the library or had to be computed. */
  readonly block: "kept" | "made";
}

export interface Retrieved {
  /** The examples as one prompt; undefined when none is similar enough. */
  readonly prompt?: VisualPrompt;
  /** Most similar first. */
  readonly examples: readonly RetrievedExample[];
  /** What each of the examples' pairs tells about colours, where the blocks of the prompt do not hold it. */
  readonly colours?: () => Promise<readonly ColourSums[]>;
  /** The best similarity found, when it is below `minSimilarity`. */
  readonly best?: number;
}

/** What an example source needs of the model; `XPrompt` implements it. */
export interface AskingModel {
  readonly fingerprint: string;
  readonly config: ModelConfig;
  readonly base: Chameleon;
  /** Edge length of the pictures in pixels. */
  readonly size: number;
  compress(
    examples: readonly { readonly input: Picture; readonly output: Picture; readonly instruction?: string }[],
    options?: { readonly signal?: AbortSignal },
  ): Promise<VisualPrompt>;
}

/** Where `generate` retrieves examples: a `Retriever` over an `ExampleLibrary`. */
export interface ExampleSource {
  /** Retrieves examples for a request, compressed by the model. */
  retrieve(model: AskingModel, request: ExampleRequest): Promise<Retrieved>;
}
