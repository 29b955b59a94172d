/**
 * @file Packed batches for the transformer: contexts of examples and TODO parts of one task each, in tokens. Workers
 * render the pictures, encode them with the image tokenizer, and lay the tokens out.
 */
import { loadTokenizers, type Tokenizers } from "../chameleon/folder.ts";
import type { Image } from "../image/index.ts";
import { Random } from "../random.ts";
import { caption, drawScene, type Pair, renderScene, selectFamilies, type Task } from "../tasks/index.ts";
import { HIDDEN, type Packing } from "../xprompt/packing.ts";
import {
  type Answer,
  type Codes,
  exampleTokens,
  MOST_WORDS,
  queryTokens,
  targetTokens,
  textLimit,
  type XPromptConfig,
} from "../xprompt/sequence.ts";

/** What a batch is drawn from. */
export interface MixSettings {
  /** Families to train on; all when empty. */
  readonly families: readonly string[];
  /** Families never shown in training. */
  readonly heldOut: readonly string[];
  /** How often a context has 1, 2, 3, … examples. */
  readonly exampleCounts: readonly number[];
  /** Share of batches whose TODO parts say in words what their context's example changes. */
  readonly describe: number;
  /** Share of contexts whose TODO parts are text to image, with the empty example. */
  readonly textToImage: number;
  /** Share of those TODO parts that go the other way, from picture to caption. */
  readonly imageToText: number;
  /** Share of the other contexts whose examples are left out: then the instruction alone says what to do. */
  readonly withoutExample: number;
  /** Share of examples, and of TODO parts, that come with their instruction. */
  readonly exampleInstruction: number;
  readonly todoInstruction: number;
}

export interface ContextOptions {
  readonly seed: number;
  /** Keeps training and held-out contexts apart: it names the random stream. */
  readonly part: string;
  /** Folder with the image and text tokenizers. */
  readonly tokenizers: string;
  readonly xprompt: XPromptConfig;
  readonly contexts: number;
  readonly todos: number;
  readonly mix: MixSettings;
  readonly weights: RegionWeights;
}

/** Weights of the next-token loss by what is predicted. */
export interface RegionWeights {
  readonly target: number;
  /** Answers in words. */
  readonly words: number;
  readonly query: number;
  readonly instruction: number;
}

/** One packed batch: the arrays that the training graph takes, and its sizes. */
export interface PackedBatch {
  readonly packing: Packing;
  readonly exampleTokens: BigInt64Array;
  readonly examplePositions: BigInt64Array;
  readonly examplePadding: Float32Array;
  readonly todoTokens: BigInt64Array;
  readonly todoPositions: BigInt64Array;
  readonly targets: BigInt64Array;
  /** Weight of every TODO row in the loss. */
  readonly weights: Float32Array;
  /** 1 where a token of the answer is predicted, for measuring: of pictures, or of words in a batch of nothing else. */
  readonly targetWeights: Float32Array;
}

/**
 * Lengths that every example and TODO part of a model is padded to. TODO parts without a picture are a sixth as long:
 * a batch of them has one for each context, and as many contexts more.
 */
export function packingOf(
  { contexts, todos, xprompt }: Pick<ContextOptions, "contexts" | "todos" | "xprompt">,
  examples: number,
  codesPerImage: number,
  answer: Answer = "picture",
): Packing {
  const pictures = 2 * (codesPerImage + 2);
  const exampleLength = 1 + xprompt.maxTextTokens + pictures + xprompt.tokens;
  const shape =
    answer === "picture"
      ? { contexts, todos, todoLength: 1 + xprompt.maxTextTokens + pictures }
      : { contexts: contexts * todos, todos: 1, todoLength: 2 + MOST_WORDS };
  return { ...shape, examples, exampleLength, xpTokens: xprompt.tokens, mask: xprompt.mask ?? "xprompt" };
}

/** Batch `step`: a pure function of the options and the step. */
export async function createSource(options: ContextOptions): Promise<(step: number) => Promise<PackedBatch>> {
  const tokenizers = await loadTokenizers(options.tokenizers, { threads: 1 });
  return async (step) => packContexts(await encodedContexts(step, options, tokenizers), options, tokenizers);
}

/** The contexts of batch `step`, all with the same number of examples, their pictures as codes. */
export async function encodedContexts(
  step: number,
  options: ContextOptions,
  tokenizers: Tokenizers,
): Promise<Context<Codes>[]> {
  const { seed, part, mix } = options;
  const random = Random.of(seed, "contexts", part, step);
  const counts = mix.exampleCounts.map((_, i) => i + 1);
  const answer: Answer = random.chance(mix.describe) ? "words" : "picture";
  const examples = answer === "words" ? 1 : random.pick(counts, mix.exampleCounts);
  const { contexts } = packingOf(options, examples, tokenizers.image.codesPerImage, answer);
  const draw = answer === "words" ? drawDescription : drawContext;
  const drawn = Array.from({ length: contexts }, (_, i) =>
    draw(Random.of(seed, "context", part, step, i), { ...options, examples }, tokenizers),
  );
  return encodeContexts(drawn, tokenizers);
}

/** A context with pictures as `P`. An example that is `null` is the empty one. */
export interface Context<P> {
  readonly examples: readonly (Shown<P> | null)[];
  readonly todos: readonly Asked<P>[];
}
interface Shown<P> {
  readonly input: P;
  readonly output: P;
  readonly instruction: readonly number[];
}
interface Asked<P> {
  readonly input?: P;
  readonly instruction: readonly number[];
  readonly target: { readonly picture: P } | { readonly words: readonly number[] };
}

interface Drawing extends ContextOptions {
  readonly examples: number;
}

function drawContext(random: Random, options: Drawing, tokenizers: Tokenizers): Context<Image> {
  const { mix, todos, examples } = options;
  if (!random.chance(mix.textToImage)) return contextOf(drawTask(random, mix), random, options, tokenizers);
  return {
    examples: Array(examples).fill(null),
    todos: Array.from({ length: todos }, () => captioned(random, options, tokenizers)),
  };
}

/** A scene from its caption, or the other way round. */
function captioned(random: Random, { mix, xprompt }: Drawing, tokenizers: Tokenizers): Asked<Image> {
  const scene = drawScene(random);
  const picture = renderScene(scene, tokenizers.image.config.resolution).image;
  const text = tokenizers.text.encode(caption(scene, random));
  if (random.chance(mix.imageToText))
    return { input: picture, instruction: [], target: { words: text.slice(0, MOST_WORDS) } };
  const limit = textLimit(xprompt, 0, tokenizers.image.codesPerImage);
  return { instruction: text.slice(0, limit), target: { picture } };
}

/** An example, and what it changes in words. */
function drawDescription(random: Random, { mix }: Drawing, tokenizers: Tokenizers): Context<Image> {
  const { input, output, difference } = drawTask(random, mix).pair(
    random,
    tokenizers.image.config.resolution,
  );
  const words = tokenizers.text.encode(difference).slice(0, MOST_WORDS);
  return {
    examples: [{ input, output, instruction: [] }],
    todos: [{ instruction: [], target: { words } }],
  };
}

function drawTask(random: Random, { families, heldOut }: MixSettings): Task {
  const include = families.length > 0 ? families : undefined;
  return random.pick(selectFamilies({ include, exclude: heldOut })).draw(random);
}

/** A context of one task: its pairs differ in the scene alone. */
function contextOf(
  task: Task,
  random: Random,
  { mix, todos, examples, xprompt }: Drawing,
  { image, text }: Tokenizers,
): Context<Image> {
  const empty = random.chance(mix.withoutExample);
  const limit = textLimit(xprompt, 1, image.codesPerImage);
  const told = ({ instruction }: Pair, share: number) =>
    random.chance(share) ? text.encode(instruction).slice(0, limit) : [];
  const pairs = (count: number) =>
    Array.from({ length: count }, () => task.pair(random, image.config.resolution));
  return {
    examples: empty
      ? Array(examples).fill(null)
      : pairs(examples).map((pair) => ({ ...pair, instruction: told(pair, mix.exampleInstruction) })),
    todos: pairs(todos).map((pair) => ({
      input: pair.input,
      instruction: told(pair, empty ? 0.9 : mix.todoInstruction),
      target: { picture: pair.output },
    })),
  };
}

/** All pictures of the contexts through the image tokenizer, in one batch. */
async function encodeContexts(
  contexts: readonly Context<Image>[],
  { image }: Tokenizers,
): Promise<Context<Codes>[]> {
  const pictures: Image[] = [];
  const place = (picture: Image) => pictures.push(picture) - 1;
  const placed = contexts.map(({ examples, todos }) => ({
    examples: examples.map(
      (shown) => shown && { ...shown, input: place(shown.input), output: place(shown.output) },
    ),
    todos: todos.map((asked) => ({
      ...asked,
      input: asked.input && place(asked.input),
      target: "words" in asked.target ? asked.target : { picture: place(asked.target.picture) },
    })),
  }));
  const codes = await image.encode(pictures);
  return placed.map(({ examples, todos }) => ({
    examples: examples.map(
      (shown) => shown && { ...shown, input: codes[shown.input]!, output: codes[shown.output]! },
    ),
    todos: todos.map((asked) => ({
      ...asked,
      input: asked.input === undefined ? undefined : codes[asked.input]!,
      target: "words" in asked.target ? asked.target : { picture: codes[asked.target.picture]! },
    })),
  }));
}

/** Lays encoded contexts out as the training graph wants them. */
export function packContexts(
  contexts: readonly Context<Codes>[],
  options: Pick<ContextOptions, "xprompt" | "weights">,
  { image, text: { vocabulary } }: Tokenizers,
): PackedBatch {
  const { xprompt } = options;
  const asked = contexts.flatMap((context) => context.todos);
  const answer = asked.every(({ input, target }) => !input && "words" in target) ? "words" : "picture";
  const { examples, todos } = contexts[0]!;
  const sizes = { contexts: contexts.length, todos: todos.length, xprompt };
  const packing = packingOf(sizes, examples.length, image.codesPerImage, answer);
  const { exampleLength, todoLength } = packing;
  const exampleCount = packing.contexts * packing.examples;
  const todoCount = packing.contexts * packing.todos;
  const batch: PackedBatch = {
    packing,
    exampleTokens: new BigInt64Array(exampleCount * exampleLength).fill(BigInt(vocabulary.pad)),
    examplePositions: new BigInt64Array(exampleCount * exampleLength),
    examplePadding: new Float32Array(exampleCount * exampleLength).fill(HIDDEN),
    todoTokens: new BigInt64Array(todoCount * todoLength).fill(BigInt(vocabulary.pad)),
    todoPositions: new BigInt64Array(todoCount * todoLength).fill(BigInt(xprompt.todoPosition)),
    targets: new BigInt64Array(todoCount * todoLength),
    weights: new Float32Array(todoCount * todoLength),
    targetWeights: new Float32Array(todoCount * todoLength),
  };
  for (const [row, example] of contexts.flatMap((context) => context.examples).entries()) {
    const tokens = exampleTokens(vocabulary, example, xprompt.tokens);
    const start = row * exampleLength + exampleLength - tokens.length;
    for (const [i, token] of tokens.entries()) {
      batch.exampleTokens[start + i] = BigInt(token);
      batch.examplePositions[start + i] = BigInt(i);
      batch.examplePadding[start + i] = 0;
    }
  }
  for (const [row, todo] of asked.entries())
    packTodo(batch, row, todo, xprompt.todoPosition, options.weights, vocabulary, answer);
  return batch;
}

/** Lays out one TODO part: every token but the last is read, and the one after it predicted. */
function packTodo(
  batch: PackedBatch,
  row: number,
  { input, instruction, target }: Asked<Codes>,
  position: number,
  weights: RegionWeights,
  vocabulary: Tokenizers["text"]["vocabulary"],
  measured: Answer,
): void {
  const answer: Answer = "words" in target ? "words" : "picture";
  const asked = queryTokens(vocabulary, { input, instruction, answer });
  const made = targetTokens(vocabulary, target);
  const tokens = [...asked, ...made];
  const start = row * batch.packing.todoLength;
  const length = Math.min(tokens.length - 1, batch.packing.todoLength);
  // End of image and end of text are not measured: they are certain.
  const last = asked.length + made.length - (answer === "picture" ? 2 : 1);
  for (let i = 0; i < length; i++) {
    batch.todoTokens[start + i] = BigInt(tokens[i]!);
    batch.todoPositions[start + i] = BigInt(position + i);
    batch.targets[start + i] = BigInt(tokens[i + 1]!);
    const inTarget = i + 1 >= asked.length;
    batch.targetWeights[start + i] = inTarget && i + 1 < last && answer === measured ? 1 : 0;
    if (inTarget) batch.weights[start + i] = answer === "words" ? weights.words : weights.target;
    else batch.weights[start + i] = i < instruction.length ? weights.instruction : weights.query;
  }
}
