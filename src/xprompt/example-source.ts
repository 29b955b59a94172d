/** @file What `generate` asks for where it looks for examples by itself, and what it gets (paper: RAIE). */
import type { Chameleon } from "../chameleon/chameleon.ts";
import type { Picture } from "../image/picture.ts";
import type { ModelConfig } from "./config.ts";
import type { VisualPrompt } from "./prompt.ts";
import type { Codes } from "./sequence.ts";

export interface ExampleRequest {
  /** What is asked for, in words; empty where it is not said. */
  readonly instruction: string;
  /** The picture to change, and its codes. */
  readonly input?: { readonly picture: Picture; readonly codes: Codes };
  /** How many examples are wanted. */
  readonly k: number;
  /** Leave out examples that are less like what is asked than this. */
  readonly minSimilarity?: number;
  readonly signal?: AbortSignal;
}

/** An example that was found, and why. */
export interface RetrievedExample {
  readonly id: string;
  readonly instruction: string;
  readonly source: string;
  /** At most 1: how like what was asked for, all in all. */
  readonly similarity: number;
  /** 1 − similarity. */
  readonly distance: number;
  /** Similarity in each way that counted: of texts, images, words. */
  readonly parts: Readonly<Record<string, number>>;
  /** Whether its compiled block was there, or was made now. */
  readonly block: "kept" | "made";
}

export interface Retrieved {
  /** The examples as one prompt; nothing when none was like enough. */
  readonly prompt?: VisualPrompt;
  /** The nearest first. */
  readonly examples: readonly RetrievedExample[];
  /** The best similarity there was, where that was not enough. */
  readonly best?: number;
}

/** What a source of examples needs of the model that asks: an `XPrompt` is one. */
export interface AskingModel {
  readonly fingerprint: string;
  readonly config: ModelConfig;
  readonly base: Chameleon;
  /** Side of the pictures in pixels. */
  readonly size: number;
  compress(
    examples: readonly { readonly input: Picture; readonly output: Picture; readonly instruction?: string }[],
  ): Promise<VisualPrompt>;
}

/** Where `generate` looks for examples: a `Retriever` over an `ExampleLibrary`. */
export interface ExampleSource {
  /** Finds examples for a request, compiled for the model. */
  retrieve(model: AskingModel, request: ExampleRequest): Promise<Retrieved>;
}
