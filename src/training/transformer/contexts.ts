/**
 * @file Samples the contexts for training and evaluating the transformer. A context has examples and TODO parts of one
 * task. They come from task families, from data sets of pairs, or from captioned scenes. Pictures become codes.
 */
import type { Tokenizers } from "../../chameleon/checkpoint/folder.ts";
import type { Image } from "../../image/index.ts";
import { Random } from "../../random.ts";
import { NeighbourSource } from "../../retrieval/index.ts";
import {
  type LoadedPair,
  openPairs,
  type PairSource,
  reversed,
  type Skipped,
} from "../../tasks/datasets/index.ts";
import {
  caption,
  drawScene,
  familiesOf,
  openWorlds,
  renderScene,
  type SceneOptions,
  selectFamilies,
  type Task,
  type Worlds,
} from "../../tasks/index.ts";
import { type Codes, MOST_WORDS, textLimit, type XPromptConfig } from "../../xprompt/sequence.ts";
import { alone, partOf, type Share } from "../distributed/collective.ts";
import type { Context, TodoPart } from "./context.ts";
import { included, type Mix } from "./mix.ts";
import { inWindows } from "./windows.ts";

/** The settings that determine, with the number of the batch, which contexts are sampled. */
export interface ContextSettings {
  readonly seed: number;
  /** Name of the random stream, which separates training and held-out contexts. */
  readonly part: string;
  /** Folder with the image and text tokenizers. */
  readonly tokenizers: string;
  /** Side of the pictures in pixels. Defaults to that of the tokenizers. */
  readonly resolution?: number;
  readonly xprompt: XPromptConfig;
  readonly contexts: number;
  readonly todos: number;
  /** What is shown instead of whole pictures. */
  readonly windows?: WindowSettings;
  readonly mix: Mix;
  /** The part of every batch to make. All of it by default. */
  readonly share?: Share;
}

/** Parts of pictures, for some of the steps. */
export interface WindowSettings {
  /** Codes per side. */
  readonly side: number;
  /** Steps that show them, from the first one. Defaults to all. */
  readonly steps?: number;
  /** Contexts of such a step. */
  readonly contexts: number;
}

/** A source of contexts made of pairs. A library is open until it is closed. */
export type ContextSource = Pick<PairSource, "context" | "digest"> & Partial<AsyncDisposable>;

/** The sources of contexts: data sets of pairs and example libraries, and worlds. */
export interface Sources {
  readonly sets: readonly ContextSource[];
  readonly worlds: Worlds;
}

/** Opens all sources of the mix, for the part that the options name. See `openSets` and `openWorlds`. */
export async function openSources(
  options: ContextSettings,
  onSkip?: (skipped: Skipped) => void,
): Promise<Sources> {
  const worlds = openWorlds(options.mix, options.part === "train" ? "train" : "heldOut");
  return { sets: await openSets(options, onSkip), worlds };
}

/** Closes the libraries among the sources. */
export async function closeSets(sets: readonly ContextSource[]): Promise<void> {
  await Promise.all(sets.map((set) => set[Symbol.asyncDispose]?.()));
}

/** What names the records of data sets and the gathered pictures. */
export const digestsOf = ({ sets, worlds: { gathered } }: Sources): string[] =>
  [...sets, ...(gathered ? [gathered] : [])].map(({ digest }) => digest);

const scenesAlone: Sources = { sets: [], worlds: { draw: () => undefined } };

/**
 * Opens the data sets and libraries of the mix, for the part that the options name.
 * @param onSkip called with every broken record
 * @throws XPromptError when a set or library cannot be read
 */
export async function openSets(
  { seed, part, mix }: ContextSettings,
  onSkip?: (skipped: Skipped) => void,
): Promise<ContextSource[]> {
  if (mix.pairsShare === 0) return [];
  const shared = { heldOut: mix.pairsHeldOut, part: part === "train" ? "train" : "heldOut" } as const;
  const opening = await Promise.allSettled(
    mix.pairs.map((each): Promise<ContextSource> => {
      if (typeof each === "string") return openPairs({ seed, path: each, ...shared }, onSkip);
      if ("library" in each) return NeighbourSource.open(each, { seed, ...shared });
      return openPairs({ seed, ...each, ...shared }, onSkip);
    }),
  );
  const opened = opening.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
  const failed = opening.find((each) => each.status === "rejected");
  if (!failed) return opened;
  await closeSets(opened);
  throw failed.reason;
}

/**
 * The kind of a batch's TODO parts: "changes" of a picture, "captions" (text to image and image to text), or
 * "descriptions" of a change in words.
 */
export type BatchKind = "changes" | "captions" | "descriptions";

/** Contexts of one kind. All have the same number of examples and of TODO parts. */
export interface ContextBatch<P> {
  readonly kind: BatchKind;
  /** Codes per side of the windows, where no whole pictures are shown. */
  readonly window?: number;
  readonly contexts: readonly Context<P>[];
}

/** Batches without noise by their steps, and the broken records that were found since `skipped` was emptied. */
export interface ContextStream {
  contextsOf(step: number): Promise<ContextBatch<Codes>>;
  readonly skipped: Skipped[];
}

/** Samples and encodes the contexts of the settings. Libraries are open until the stream is closed. */
export async function sampledContexts(
  settings: ContextSettings,
  tokenizers: Tokenizers,
): Promise<ContextStream & AsyncDisposable> {
  const skipped: Skipped[] = [];
  const sources = await openSources(settings, (each) => skipped.push(each));
  return {
    contextsOf: (step) => encodedContexts(step, settings, tokenizers, sources),
    skipped,
    [Symbol.asyncDispose]: () => closeSets(sources.sets),
  };
}

/** Samples batch `step` and encodes its pictures. Noise on targets is added by `withNoise`. */
export async function encodedContexts(
  step: number,
  options: ContextSettings,
  tokenizers: Tokenizers,
  sources: Sources = scenesAlone,
): Promise<ContextBatch<Codes>> {
  const { seed, part, mix } = options;
  const random = Random.of(seed, "contexts", part, step);
  const counts = mix.exampleCounts.map((_, i) => i + 1);
  const kind = sampleKind(random, mix);
  const exampleCount = random.pick(counts, mix.exampleCounts);
  const possible = possibleSizes(options);
  const windows = windowsAt(options, step);
  const { contexts, examples, todos, window } = sizesOf(kind, exampleCount, options, windows);
  const sample = { changes: sampleContext, captions: sampleCaptions, descriptions: sampleDescription }[kind];
  const sampled: Context<Image>[] = [];
  const most = Math.max(...possible.map((each) => each.contexts));
  const stride = Math.max(...possible.map((each) => each.examples + each.todos));
  const { first, length } = partOf(contexts, options.share ?? alone, "contexts");
  for (let i = first; i < first + length; i++) {
    const request = { ...options, ...sources, examples, todos, window, number: step * most + i, stride };
    sampled.push(await sample(Random.of(seed, "context", part, step, i), request, tokenizers));
  }
  const encoded = await encodeContexts(sampled, tokenizers);
  if (window === undefined) return { kind, contexts: encoded };
  const shown = encoded.map((context, i) =>
    inWindows(
      context,
      Random.of(seed, "window", part, step, first + i),
      window,
      tokenizers.image.codesPerImage,
    ),
  );
  return { kind, window, contexts: shown };
}

/** The sizes of a batch. */
export interface BatchSizes {
  readonly kind: BatchKind;
  readonly contexts: number;
  /** Examples of each context. */
  readonly examples: number;
  /** TODO parts of each context. */
  readonly todos: number;
  /** Codes per side of the windows, if it has any. */
  readonly window?: number;
}

/** Codes of a picture that are shown. */
export const codesShown = ({ codesPerImage }: Tokenizers["image"], window?: number): number =>
  window === undefined ? codesPerImage : window ** 2;

type CountSettings = Pick<ContextSettings, "contexts" | "todos" | "windows">;

/** The windows of a step, unless it shows whole pictures. */
const windowsAt = ({ windows }: CountSettings, step: number): WindowSettings | undefined =>
  windows && step < (windows.steps ?? Infinity) ? windows : undefined;

/** The TODO parts of captions and descriptions are shorter, so a batch has more of them. */
function sizesOf(
  kind: BatchKind,
  examples: number,
  { contexts: ofWhole, todos }: CountSettings,
  windows?: WindowSettings,
): BatchSizes {
  const contexts = windows?.contexts ?? ofWhole;
  const window = windows && { window: windows.side };
  if (kind === "changes") return { kind, contexts, examples, todos, ...window };
  if (kind === "captions") return { kind, contexts, examples: 1, todos: 2 * todos, ...window };
  return { kind, contexts: contexts * todos, examples: 1, todos: 1, ...window };
}

/** The sizes of all possible batches. */
export function possibleSizes(options: CountSettings & Pick<ContextSettings, "mix">): BatchSizes[] {
  const { describe, textToImage, exampleCounts } = options.mix;
  const counts = exampleCounts.flatMap((share, i) => (share > 0 ? [i + 1] : []));
  const { windows } = options;
  const phases = windows?.steps === undefined ? [windows] : [windows, undefined];
  return phases.flatMap((shown) => [
    ...(describe < 1 && textToImage < 1
      ? counts.map((count) => sizesOf("changes", count, options, shown))
      : []),
    ...(describe < 1 && textToImage > 0 ? [sizesOf("captions", 1, options, shown)] : []),
    ...(describe > 0 ? [sizesOf("descriptions", 1, options, shown)] : []),
  ]);
}

function sampleKind(random: Random, { describe, textToImage }: Mix): BatchKind {
  if (random.chance(describe)) return "descriptions";
  return random.chance(textToImage) ? "captions" : "changes";
}

interface ContextRequest extends ContextSettings, Sources {
  readonly examples: number;
  /** Codes per side of the windows, if there are any. */
  readonly window?: number;
  /** Index of the context among as many of each step as the largest batch has. */
  readonly number: number;
  /** Pairs from one context to the next, enough for any. */
  readonly stride: number;
}

async function sampleContext(
  random: Random,
  options: ContextRequest,
  tokenizers: Tokenizers,
): Promise<Context<Image>> {
  const { mix, todos, examples, sets } = options;
  if (sets.length > 0 && random.chance(mix.pairsShare)) {
    const pairs = await samplePairs(random, options, { examples, todos }, tokenizers);
    return contextOf(pairs, random, options, tokenizers);
  }
  const task = sampleTask(random, options);
  const pairs = (count: number) =>
    Array.from({ length: count }, () => task.pair(random, tokenizers.image.config.resolution));
  return contextOf({ examples: pairs(examples), todos: pairs(todos) }, random, options, tokenizers);
}

async function sampleCaptions(
  random: Random,
  options: ContextRequest,
  tokenizers: Tokenizers,
): Promise<Context<Image>> {
  const { examples, todos } = options;
  return {
    examples: Array(examples).fill(null),
    todos: Array.from({ length: todos }, () => captioned(random, options, tokenizers)),
  };
}

/** A TODO part that asks for a picture of a caption, or for the caption of a picture. */
function captioned(random: Random, options: ContextRequest, tokenizers: Tokenizers): TodoPart<Image> {
  const { mix } = options;
  const { picture, words } = sampleCaptioned(random, options, tokenizers.image.config.resolution);
  const text = tokenizers.text.encode(words).slice(0, MOST_WORDS);
  if (random.chance(mix.imageToText)) return { input: picture, instruction: [], target: { words: text } };
  return { instruction: text, target: { picture } };
}

/** Number of attempts to sample a picture with a caption. */
const CAPTION_ATTEMPTS = 20;

/** Samples a captioned picture of a random world, or a scene if that world yields no captioned picture. */
function sampleCaptioned(
  random: Random,
  { mix, worlds }: ContextRequest,
  size: number,
): { readonly picture: Image; readonly words: string } {
  const world = worlds.draw(random);
  for (let i = 0; world && i < CAPTION_ATTEMPTS; i++) {
    const { picture, words } = world.picture(random, size);
    if (words !== undefined) return { picture, words };
  }
  const scene = drawScene(random, random.chance(mix.plainScenes) ? plainScene(random, mix) : {});
  return { picture: renderScene(scene, size).image, words: caption(scene, random) };
}

const plainScene = (random: Random, { plainCounts }: Mix): SceneOptions => ({
  places: ["studio"],
  ...(plainCounts && { count: 1 + random.pick([...plainCounts.keys()], plainCounts) }),
});

/** An example and the words that describe its change. Falls back to a family if the pair of a set has no words. */
async function sampleDescription(
  random: Random,
  options: ContextRequest,
  tokenizers: Tokenizers,
): Promise<Context<Image>> {
  const { mix, sets } = options;
  const ofSet = sets.length > 0 && random.chance(mix.pairsShare);
  const [pair] = ofSet
    ? (await samplePairs(random, options, { examples: 0, todos: 1 }, tokenizers)).todos
    : [];
  const { input, output, difference } =
    pair?.input && pair.difference
      ? pair
      : sampleTask(random, options).pair(random, tokenizers.image.config.resolution);
  const words = tokenizers.text.encode(difference!.toLowerCase()).slice(0, MOST_WORDS);
  return {
    examples: [{ input: input!, output, instruction: [] }],
    todos: [{ instruction: [], target: { words } }],
  };
}

/** Samples a task whose pairs come from one world. */
function sampleTask(random: Random, { mix, worlds }: ContextRequest): Task {
  const { heldOut, weights } = mix;
  const world = worlds.draw(random);
  const include = included(mix);
  const chosen = selectFamilies({ include, exclude: heldOut }, familiesOf(worlds, world?.name));
  const often = chosen.map(({ name }) => weights[name] ?? 1);
  const task = random.pick(chosen, often).draw(random);
  return { ...task, pair: (pairRandom, size) => task.pair(pairRandom, size, world) };
}

/** Samples pairs of one task of a data set, forwards or backwards. */
async function samplePairs(
  random: Random,
  { sets, number, stride, mix }: ContextRequest,
  counts: { readonly examples: number; readonly todos: number },
  { image }: Tokenizers,
): Promise<Pairs> {
  const size = image.config.resolution;
  const { examples, todos } = await random.pick(sets).context(number, { ...counts, size, stride });
  const backwards = random.chance(mix.pairsReversed);
  const turned = (pairs: readonly LoadedPair[]) =>
    backwards ? pairs.map((pair) => (pair.input ? reversed(pair) : pair)) : pairs;
  return { examples: turned(examples), todos: turned(todos) };
}

/** Pairs of one task, as examples and as TODO parts. */
interface Pairs {
  /** Empty for text to image. */
  readonly examples: readonly AnyPair[];
  readonly todos: readonly AnyPair[];
}
type AnyPair = Pick<LoadedPair, "input" | "output" | "instruction" | "difference">;

/** Makes a context of pairs. The mix decides which parts have instructions; text to image always has one. */
function contextOf(
  pairs: Pairs,
  random: Random,
  { mix, examples, xprompt, window }: ContextRequest,
  { image, text }: Tokenizers,
): Context<Image> {
  const empty = random.chance(mix.withoutExample) || pairs.examples.length === 0;
  const instructionTokens = ({ input, instruction = "" }: AnyPair, share: number) => {
    const limit = textLimit(xprompt, input ? 1 : 0, codesShown(image, window));
    return random.chance(input ? share : 1) ? text.encode(instruction.toLowerCase()).slice(0, limit) : [];
  };
  return {
    examples: empty
      ? Array(examples).fill(null)
      : pairs.examples.map((pair) => ({
          input: pair.input!,
          output: pair.output,
          instruction: instructionTokens(pair, mix.exampleInstruction),
        })),
    todos: pairs.todos.map((pair) => ({
      input: pair.input,
      instruction: instructionTokens(
        pair,
        empty ? (mix.instructionWithoutExample ?? 0.9) : mix.todoInstruction,
      ),
      target: { picture: pair.output },
    })),
  };
}

/** Encodes all pictures of the contexts in one batch. */
async function encodeContexts(
  contexts: readonly Context<Image>[],
  { image }: Tokenizers,
): Promise<Context<Codes>[]> {
  const pictures: Image[] = [];
  const place = (picture: Image) => pictures.push(picture) - 1;
  const placed = contexts.map(({ examples, todos }) => ({
    examples: examples.map(
      (example) => example && { ...example, input: place(example.input), output: place(example.output) },
    ),
    todos: todos.map((todo) => ({
      ...todo,
      input: todo.input && place(todo.input),
      target: "words" in todo.target ? todo.target : { picture: place(todo.target.picture) },
    })),
  }));
  const codes = await image.encode(pictures);
  return placed.map(({ examples, todos }) => ({
    examples: examples.map(
      (example) => example && { ...example, input: codes[example.input]!, output: codes[example.output]! },
    ),
    todos: todos.map((todo) => ({
      ...todo,
      input: todo.input === undefined ? undefined : codes[todo.input]!,
      target: "words" in todo.target ? todo.target : { picture: codes[todo.target.picture]! },
    })),
  }));
}
