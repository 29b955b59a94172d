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
  type Codes,
  exampleTokens,
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
  /** Share of contexts whose TODO parts are text to image, with the empty example. */
  readonly textToImage: number;
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
  /** 1 where a code of the target picture is predicted, for measuring. */
  readonly targetWeights: Float32Array;
}

/** Lengths that every example and TODO part of a model is padded to. */
export function packingOf(
  { contexts, todos, xprompt }: Pick<ContextOptions, "contexts" | "todos" | "xprompt">,
  examples: number,
  codesPerImage: number,
): Packing {
  const pictures = 2 * (codesPerImage + 2);
  return {
    contexts,
    examples,
    exampleLength: 1 + xprompt.maxTextTokens + pictures + xprompt.tokens,
    xpTokens: xprompt.tokens,
    todos,
    todoLength: 1 + xprompt.maxTextTokens + pictures,
  };
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
  const { seed, part, mix, contexts } = options;
  const counts = mix.exampleCounts.map((_, i) => i + 1);
  const examples = Random.of(seed, "contexts", part, step).pick(counts, mix.exampleCounts);
  const drawn = Array.from({ length: contexts }, (_, i) =>
    drawContext(Random.of(seed, "context", part, step, i), options, examples, tokenizers),
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
  readonly target: P;
  readonly instruction: readonly number[];
}

function drawContext(
  random: Random,
  options: ContextOptions,
  examples: number,
  tokenizers: Tokenizers,
): Context<Image> {
  const { mix, xprompt } = options;
  const size = tokenizers.image.config.resolution;
  const words = (text: string, pictures = 1) =>
    tokenizers.text.encode(text).slice(0, textLimit(xprompt, pictures, tokenizers.image.codesPerImage));
  if (random.chance(mix.textToImage)) {
    const todos = Array.from({ length: options.todos }, () => {
      const scene = drawScene(random);
      return { target: renderScene(scene, size).image, instruction: words(caption(scene, random), 0) };
    });
    return { examples: Array(examples).fill(null), todos };
  }
  const include = mix.families.length > 0 ? mix.families : undefined;
  const task = random.pick(selectFamilies({ include, exclude: mix.heldOut })).draw(random);
  return contextOf(task, random, { ...options, size, examples, words });
}

interface ContextSizes {
  readonly mix: MixSettings;
  readonly todos: number;
  readonly examples: number;
  readonly size: number;
  readonly words: (text: string) => readonly number[];
}

/** A context of one task: its pairs differ in the scene alone. */
function contextOf(
  task: Task,
  random: Random,
  { mix, todos, examples, size, words }: ContextSizes,
): Context<Image> {
  const empty = random.chance(mix.withoutExample);
  const told = ({ instruction }: Pair, share: number) => (random.chance(share) ? words(instruction) : []);
  const pairs = (count: number) => Array.from({ length: count }, () => task.pair(random, size));
  return {
    examples: empty
      ? Array(examples).fill(null)
      : pairs(examples).map((pair) => ({ ...pair, instruction: told(pair, mix.exampleInstruction) })),
    todos: pairs(todos).map((pair) => ({
      input: pair.input,
      target: pair.output,
      instruction: told(pair, empty ? 0.9 : mix.todoInstruction),
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
      target: place(asked.target),
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
      target: codes[asked.target]!,
    })),
  }));
}

/** Lays encoded contexts out as the training graph wants them. */
export function packContexts(
  contexts: readonly Context<Codes>[],
  options: Pick<ContextOptions, "xprompt" | "weights">,
  { image, text: { vocabulary } }: Tokenizers,
): PackedBatch {
  const { examples, todos } = contexts[0]!;
  const { xprompt, weights } = options;
  const sizes = { contexts: contexts.length, todos: todos.length, xprompt };
  const packing = packingOf(sizes, examples.length, image.codesPerImage);
  const { exampleLength, todoLength } = packing;
  const [exampleCount, todoCount] = [contexts.length * examples.length, contexts.length * todos.length];
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
  for (const [row, { input, instruction, target }] of contexts
    .flatMap((context) => context.todos)
    .entries()) {
    const asked = queryTokens(vocabulary, { input, instruction });
    const tokens = [...asked, ...targetTokens(vocabulary, target)];
    const start = row * todoLength;
    for (let i = 0; i < Math.min(tokens.length - 1, todoLength); i++) {
      batch.todoTokens[start + i] = BigInt(tokens[i]!);
      batch.todoPositions[start + i] = BigInt(xprompt.todoPosition + i);
      batch.targets[start + i] = BigInt(tokens[i + 1]!);
      const inTarget = i + 1 >= asked.length;
      batch.targetWeights[start + i] = inTarget && i + 1 < asked.length + target.length ? 1 : 0;
      batch.weights[start + i] = inTarget
        ? weights.target
        : i < instruction.length
          ? weights.instruction
          : weights.query;
    }
  }
  return batch;
}
