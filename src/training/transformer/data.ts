/**
 * @file Packed batches for the transformer: contexts as token sequences. Worker threads render the pictures, encode
 * them with the image tokenizer, and lay out the tokens.
 */

import { loadTokenizers, type Tokenizers } from "../../chameleon/checkpoint/folder.ts";
import { HIDDEN } from "../../chameleon/model/transformer.ts";
import { pictureSpans } from "../../chameleon/model/whole-pictures.ts";
import { buildWith } from "../../runtime/resources.ts";
import type { Skipped } from "../../tasks/datasets/index.ts";
import type { Packing } from "../../xprompt/packing.ts";
import {
  type Answer,
  type Codes,
  exampleTokens,
  longestExample,
  MOST_WORDS,
  queryTokens,
  targetTokens,
} from "../../xprompt/sequence.ts";
import type { BatchOf } from "../run/workers.ts";
import { storedContexts } from "../tokenized/stream.ts";
import type { TodoPart } from "./context.ts";
import {
  type BatchKind,
  type ContextBatch,
  type ContextSettings,
  codesShown,
  possibleSizes,
  sampledContexts,
} from "./contexts.ts";
import { withNoise } from "./noise.ts";
import type { RegionWeights } from "./recipe.ts";
import { positionsOf } from "./windows.ts";

export interface ContextOptions extends ContextSettings {
  readonly weights: RegionWeights;
  /** Whether attention within input pictures is bidirectional. */
  readonly wholePictures?: boolean;
  /** Contexts in tokens, which are read instead of being sampled. */
  readonly tokenized?: { readonly place: string; readonly digest: string };
}

/** One packed batch: the input arrays of the training graph, and their sizes. */
export interface PackedBatch {
  readonly kind: BatchKind;
  /** Codes per side of the windows, where no whole pictures are shown. */
  readonly window?: number;
  readonly packing: Packing;
  readonly exampleTokens: BigInt64Array;
  readonly examplePositions: BigInt64Array;
  readonly examplePadding: Float32Array;
  /** With bidirectional pictures: tokens of the same input picture have the same segment (`packing.ts`). */
  readonly exampleSegments?: BigInt64Array;
  readonly todoSegments?: BigInt64Array;
  readonly todoTokens: BigInt64Array;
  readonly todoPositions: BigInt64Array;
  readonly targets: BigInt64Array;
  /** Loss weight of every TODO row. */
  readonly weights: Float32Array;
  /** 1 for rows that count in the measured NLL: those of target pictures, or of words in a batch of descriptions. */
  readonly targetWeights: Float32Array;
  /** Broken records that the worker found since its previous batch. */
  readonly skipped?: readonly Skipped[];
}

/**
 * The lengths to which examples and TODO parts of a batch are padded. The TODO part of a caption has one picture instead
 * of two, and the empty example. The TODO part of a description has no picture.
 */
export function packingOf(
  {
    contexts,
    todos,
    xprompt,
    weights,
    wholePictures,
  }: Pick<ContextOptions, "contexts" | "todos" | "xprompt" | "wholePictures"> &
    Partial<Pick<ContextOptions, "weights">>,
  examples: number,
  codesPerImage: number,
  kind: BatchKind = "changes",
): Packing {
  const { tokens: xpTokens, maxTextTokens, mask = "xprompt" } = xprompt;
  const picture = codesPerImage + 2;
  const todoLength = {
    changes: 1 + maxTextTokens + 2 * picture,
    captions: 2 + MOST_WORDS + picture,
    descriptions: 2 + MOST_WORDS,
  }[kind];
  const exampleLength = kind === "captions" ? 1 + xpTokens : longestExample(xprompt, codesPerImage);
  const spoken = weights?.instruction === 0 ? 0 : mostLearned(kind, xprompt);
  const answerLength = {
    changes: spoken + picture,
    captions: Math.max(spoken + picture, MOST_WORDS + 1),
    descriptions: MOST_WORDS + 1,
  }[kind];
  return {
    ...{ contexts, examples, exampleLength, todos, todoLength, xpTokens, mask },
    // Without weights, and with some for queries, all rows have loss.
    ...(weights?.query === 0 && { answerLength }),
    ...(wholePictures && { wholePictures }),
  };
}

/** How many tokens of an instruction have loss at most. Instructions without a query picture may be longer. */
const mostLearned = (kind: BatchKind, { maxTextTokens }: ContextOptions["xprompt"]): number =>
  kind === "captions" ? MOST_WORDS : maxTextTokens;

/** The shape of a batch. Each shape has its own compiled graph. */
export type BatchShape = Pick<PackedBatch, "kind" | "window" | "packing">;

/** The shapes of all possible batches. */
export const possibleShapes = (
  options: Omit<ContextOptions, "seed" | "part" | "tokenizers" | "resolution">,
  image: Tokenizers["image"],
): BatchShape[] =>
  possibleSizes(options).map(({ kind, examples, window, ...counts }) => ({
    kind,
    window,
    packing: packingOf({ ...options, ...counts }, examples, codesShown(image, window), kind),
  }));

/** Makes batches. Apart from `skipped`, a batch is a pure function of the options and the step. */
export function createSource(options: ContextOptions): Promise<BatchOf<PackedBatch>> {
  return buildWith(async (resources) => {
    const { tokenizers: folder, resolution, tokenized, seed, share } = options;
    const tokenizers = await loadTokenizers(folder, { threads: 1, resolution });
    resources.own(tokenizers.image);
    const { contextsOf, skipped } = tokenized
      ? await storedContexts(tokenized, seed, tokenizers, share)
      : resources.own(await sampledContexts(options, tokenizers));
    const batchOf = async (step: number) => {
      const batch = packBatch(withNoise(await contextsOf(step), step, options), options, tokenizers);
      return { ...batch, skipped: skipped.splice(0) };
    };
    return Object.assign(batchOf, { [Symbol.asyncDispose]: () => resources.release() });
  });
}

/** Lays out encoded contexts as inputs of the training graph. */
export function packBatch(
  { kind, window, contexts }: ContextBatch<Codes>,
  options: Pick<ContextOptions, "xprompt" | "weights" | "wholePictures">,
  { image, text: { vocabulary } }: Tokenizers,
): PackedBatch {
  const { xprompt } = options;
  const todoParts = contexts.flatMap((context) => context.todos);
  const { examples, todos } = contexts[0]!;
  const sizes = { ...options, contexts: contexts.length, todos: todos.length };
  const packing = packingOf(sizes, examples.length, codesShown(image, window), kind);
  const { exampleLength, todoLength } = packing;
  const exampleCount = packing.contexts * packing.examples;
  const todoCount = packing.contexts * packing.todos;
  const batch: PackedBatch = {
    kind,
    window,
    packing,
    exampleTokens: new BigInt64Array(exampleCount * exampleLength).fill(BigInt(vocabulary.pad)),
    examplePositions: new BigInt64Array(exampleCount * exampleLength),
    examplePadding: new Float32Array(exampleCount * exampleLength).fill(HIDDEN),
    ...(packing.wholePictures && {
      exampleSegments: ownSegments(exampleCount * exampleLength),
      todoSegments: ownSegments(todoCount * todoLength),
    }),
    todoTokens: new BigInt64Array(todoCount * todoLength).fill(BigInt(vocabulary.pad)),
    todoPositions: new BigInt64Array(todoCount * todoLength).fill(BigInt(xprompt.todoPosition)),
    targets: new BigInt64Array(todoCount * todoLength),
    weights: new Float32Array(todoCount * todoLength),
    targetWeights: new Float32Array(todoCount * todoLength),
  };
  for (const [row, example] of contexts.flatMap((context) => context.examples).entries()) {
    const tokens = exampleTokens(vocabulary, example, xprompt.tokens);
    const positions = positionsOf(tokens, 0, vocabulary, example?.window);
    const start = row * exampleLength + exampleLength - tokens.length;
    for (const [i, token] of tokens.entries()) {
      batch.exampleTokens[start + i] = BigInt(token);
      batch.examplePositions[start + i] = BigInt(positions[i]!);
      batch.examplePadding[start + i] = 0;
    }
    joinPictures(batch.exampleSegments, start, tokens, vocabulary);
  }
  for (const [row, todo] of todoParts.entries())
    packTodo(
      batch,
      row,
      todo,
      { weights: options.weights, position: xprompt.todoPosition, learned: mostLearned(kind, xprompt) },
      vocabulary,
      kind === "descriptions" ? "words" : "picture",
    );
  return batch;
}

/** Gives every token its own segment. */
const ownSegments = (count: number): BigInt64Array =>
  BigInt64Array.from({ length: count }, (_, i) => BigInt(i));

/** Puts the tokens of each picture into one segment. Does nothing without segments. */
function joinPictures(
  segments: BigInt64Array | undefined,
  start: number,
  tokens: readonly number[],
  { beginImage, endImage }: Tokenizers["text"]["vocabulary"],
): void {
  if (!segments) return;
  for (const { first, last } of pictureSpans(tokens, { begin: beginImage, end: endImage }))
    segments.fill(BigInt(start + first), start + first, start + last + 1);
}

/** Lays out one TODO part. Inputs are all tokens but the last; the target of each is the next token. */
function packTodo(
  batch: PackedBatch,
  row: number,
  { input, instruction, target, window }: TodoPart<Codes>,
  { position, weights, learned }: Pick<ContextOptions, "weights"> & { position: number; learned: number },
  vocabulary: Tokenizers["text"]["vocabulary"],
  measured: Answer,
): void {
  const answer: Answer = "words" in target ? "words" : "picture";
  const query = queryTokens(vocabulary, { input, instruction, answer });
  const targetIds = targetTokens(vocabulary, target);
  const tokens = [...query, ...targetIds];
  const inputIds =
    "words" in target || !target.read ? targetIds : targetTokens(vocabulary, { picture: target.read });
  const inputs = [...query, ...inputIds];
  const positions = positionsOf(inputs, position, vocabulary, window);
  const start = row * batch.packing.todoLength;
  const length = tokens.length - 1;
  if (length > batch.packing.todoLength)
    throw new RangeError(
      `packing a TODO part: expected at most ${batch.packing.todoLength} tokens, got ${length}`,
    );
  joinPictures(batch.todoSegments, start, query, vocabulary);
  // The end tokens of images and texts are not measured: predicting them is trivial.
  const last = query.length + targetIds.length - (answer === "picture" ? 2 : 1);
  for (let i = 0; i < length; i++) {
    batch.todoTokens[start + i] = BigInt(inputs[i]!);
    batch.todoPositions[start + i] = BigInt(positions[i]!);
    batch.targets[start + i] = BigInt(tokens[i + 1]!);
    const inTarget = i + 1 >= query.length;
    batch.targetWeights[start + i] = inTarget && i + 1 < last && answer === measured ? 1 : 0;
    if (inTarget) batch.weights[start + i] = answer === "words" ? weights.words : weights.target;
    else if (i >= instruction.length) batch.weights[start + i] = weights.query;
    else batch.weights[start + i] = i < learned ? weights.instruction : 0;
  }
}
