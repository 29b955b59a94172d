/**
 * @file The contexts that the transformer is trained and measured on: examples and TODO parts of one task each, drawn
 * from families, from data sets of pairs, or scenes with their captions; pictures as codes.
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
import {
  type Codes,
  HIDDEN_CODE,
  MOST_WORDS,
  textLimit,
  type XPromptConfig,
} from "../../xprompt/sequence.ts";
import { alone, partOf, type Share } from "../distributed/collective.ts";
import type { Mix } from "./mix.ts";

/** Which contexts there are: a function of these settings and of the batch's number. */
export interface ContextSettings {
  readonly seed: number;
  /** Keeps training and held-out contexts apart: it names the random stream. */
  readonly part: string;
  /** Folder with the image and text tokenizers. */
  readonly tokenizers: string;
  /** Side of the pictures in pixels, if not that of the tokenizers. */
  readonly resolution?: number;
  readonly xprompt: XPromptConfig;
  readonly contexts: number;
  readonly todos: number;
  readonly mix: Mix;
  /** The part of every batch that is made; all of it by default. */
  readonly share?: Share;
}

/** Where contexts of pairs come from. */
export type ContextSource = Pick<PairSource, "context" | "digest">;

/** What the contexts of a part are drawn from: data sets of pairs and libraries, and worlds. */
export interface Sources {
  readonly sets: readonly ContextSource[];
  readonly worlds: Worlds;
}

/** Everything that the mix draws from, the part of it that the options ask for; see `openSets` and `openWorlds`. */
export async function openSources(
  options: ContextSettings,
  onSkip?: (skipped: Skipped) => void,
): Promise<Sources> {
  const worlds = openWorlds(options.mix, options.part === "train" ? "train" : "heldOut");
  return { sets: await openSets(options, onSkip), worlds };
}

const scenesAlone: Sources = { sets: [], worlds: { draw: () => undefined } };

/**
 * The data sets and libraries of the mix, the part of them that the options ask for.
 * @param onSkip told of every broken record when it is found
 * @throws XPromptError when one can not be read
 */
export async function openSets(
  { seed, part, mix }: ContextSettings,
  onSkip?: (skipped: Skipped) => void,
): Promise<ContextSource[]> {
  if (mix.pairsShare === 0) return [];
  const shared = { heldOut: mix.pairsHeldOut, part: part === "train" ? "train" : "heldOut" } as const;
  return Promise.all(
    mix.pairs.map((each): Promise<ContextSource> => {
      if (typeof each === "string") return openPairs({ seed, path: each, ...shared }, onSkip);
      if ("library" in each) return NeighbourSource.open(each, { seed, ...shared });
      return openPairs({ seed, ...each, ...shared }, onSkip);
    }),
  );
}

/** What the TODO parts of a batch are: changes of a picture, scenes and their captions, or changes in words. */
export type BatchKind = "changes" | "captions" | "descriptions";

/** Contexts of one kind, all with the same number of examples and of TODO parts. */
export interface DrawnBatch<P> {
  readonly kind: BatchKind;
  readonly contexts: readonly Context<P>[];
}

/** Batch `step`, its pictures as codes. */
export async function encodedContexts(
  step: number,
  options: ContextSettings,
  tokenizers: Tokenizers,
  sources: Sources = scenesAlone,
): Promise<DrawnBatch<Codes>> {
  const { seed, part, mix } = options;
  const random = Random.of(seed, "contexts", part, step);
  const counts = mix.exampleCounts.map((_, i) => i + 1);
  const kind = drawKind(random, mix);
  const shown = random.pick(counts, mix.exampleCounts);
  const { contexts, examples, todos } = sizesOf(kind, shown, options);
  const draw = { changes: drawContext, captions: drawCaptions, descriptions: drawDescription }[kind];
  const drawn: Context<Image>[] = [];
  const { first, length } = partOf(contexts, options.share ?? alone, "contexts");
  for (let i = first; i < first + length; i++) {
    const drawing = { ...options, ...sources, examples, todos, number: step * contexts + i };
    drawn.push(await draw(Random.of(seed, "context", part, step, i), drawing, tokenizers));
  }
  const encoded = await encodeContexts(drawn, tokenizers);
  const isMeasured = part !== "train";
  const codeDropout = (kind === "captions" ? mix.captionDropout : undefined) ?? mix.codeDropout;
  if (isMeasured || (mix.misread === 0 && codeDropout === 0)) return { kind, contexts: encoded };
  const read = encoded.map((context, i) =>
    misread(context, { ...mix, codeDropout }, Random.of(seed, "misread", part, step, first + i)),
  );
  return { kind, contexts: read };
}

/** How much there is in a batch. */
export interface BatchSizes {
  readonly kind: BatchKind;
  readonly contexts: number;
  /** Examples of each context. */
  readonly examples: number;
  /** TODO parts of each context. */
  readonly todos: number;
}

/** TODO parts of captions and of descriptions are shorter: there are more of them. */
function sizesOf(
  kind: BatchKind,
  examples: number,
  { contexts, todos }: Pick<ContextSettings, "contexts" | "todos">,
): BatchSizes {
  if (kind === "changes") return { kind, contexts, examples, todos };
  if (kind === "captions") return { kind, contexts, examples: 1, todos: 2 * todos };
  return { kind, contexts: contexts * todos, examples: 1, todos: 1 };
}

/** The sizes of all batches that may be drawn. */
export function possibleSizes(options: Pick<ContextSettings, "contexts" | "todos" | "mix">): BatchSizes[] {
  const { describe, textToImage, exampleCounts } = options.mix;
  const counts = exampleCounts.flatMap((share, i) => (share > 0 ? [i + 1] : []));
  return [
    ...(describe < 1 && textToImage < 1 ? counts.map((count) => sizesOf("changes", count, options)) : []),
    ...(describe < 1 && textToImage > 0 ? [sizesOf("captions", 1, options)] : []),
    ...(describe > 0 ? [sizesOf("descriptions", 1, options)] : []),
  ];
}

function drawKind(random: Random, { describe, textToImage }: Mix): BatchKind {
  if (random.chance(describe)) return "descriptions";
  return random.chance(textToImage) ? "captions" : "changes";
}

/** The context with some codes of its targets hidden, and some read wrongly. */
function misread(
  context: Context<Codes>,
  { misread, codeDropout }: Pick<Mix, "misread" | "codeDropout">,
  random: Random,
): Context<Codes> {
  const todos = context.todos.map((asked) => {
    if ("words" in asked.target) return asked;
    const { picture } = asked.target;
    const hidden = random.chance(codeDropout) ? random.uniform() : 0;
    const read = Array.from(picture, (code) => {
      if (random.chance(hidden)) return HIDDEN_CODE;
      return random.chance(misread) ? picture[random.integer(0, picture.length - 1)]! : code;
    });
    return { ...asked, target: { picture, read } };
  });
  return { ...context, todos };
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
export interface Asked<P> {
  readonly input?: P;
  readonly instruction: readonly number[];
  /** `read` is what the model is shown of the picture while it predicts it, where that differs. */
  readonly target: { readonly picture: P; readonly read?: P } | { readonly words: readonly number[] };
}

interface Drawing extends ContextSettings, Sources {
  readonly examples: number;
  /** Counts the contexts of the run. */
  readonly number: number;
}

async function drawContext(
  random: Random,
  options: Drawing,
  tokenizers: Tokenizers,
): Promise<Context<Image>> {
  const { mix, todos, examples, sets } = options;
  if (sets.length > 0 && random.chance(mix.pairsShare)) {
    const pairs = await drawPairs(random, options, { examples, todos }, tokenizers);
    return contextOf(pairs, random, options, tokenizers);
  }
  const task = drawTask(random, options);
  const drawn = (count: number) =>
    Array.from({ length: count }, () => task.pair(random, tokenizers.image.config.resolution));
  return contextOf({ examples: drawn(examples), todos: drawn(todos) }, random, options, tokenizers);
}

async function drawCaptions(
  random: Random,
  options: Drawing,
  tokenizers: Tokenizers,
): Promise<Context<Image>> {
  const { examples, todos } = options;
  return {
    examples: Array(examples).fill(null),
    todos: Array.from({ length: todos }, () => captioned(random, options, tokenizers)),
  };
}

/** A picture from its caption, or the other way round. */
function captioned(random: Random, options: Drawing, tokenizers: Tokenizers): Asked<Image> {
  const { mix } = options;
  const { picture, words } = drawCaptioned(random, options, tokenizers.image.config.resolution);
  const text = tokenizers.text.encode(words).slice(0, MOST_WORDS);
  if (random.chance(mix.imageToText)) return { input: picture, instruction: [], target: { words: text } };
  return { instruction: text, target: { picture } };
}

/** How often a picture is drawn again until it is one whose caption is known. */
const CAPTION_ATTEMPTS = 20;

/** A captioned picture of a random world; a scene where no captioned one is found in it. */
function drawCaptioned(
  random: Random,
  { mix, worlds }: Drawing,
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

/** An example, and what it changes in words; of a family, where the pair of a set does not tell. */
async function drawDescription(
  random: Random,
  options: Drawing,
  tokenizers: Tokenizers,
): Promise<Context<Image>> {
  const { mix, sets } = options;
  const ofSet = sets.length > 0 && random.chance(mix.pairsShare);
  const [given] = ofSet
    ? (await drawPairs(random, options, { examples: 0, todos: 1 }, tokenizers)).todos
    : [];
  const { input, output, difference } =
    given?.input && given.difference
      ? given
      : drawTask(random, options).pair(random, tokenizers.image.config.resolution);
  const words = tokenizers.text.encode(difference!.toLowerCase()).slice(0, MOST_WORDS);
  return {
    examples: [{ input: input!, output, instruction: [] }],
    todos: [{ instruction: [], target: { words } }],
  };
}

/** A task whose pairs are of one world. */
function drawTask(random: Random, { mix, worlds }: Drawing): Task {
  const { families, heldOut, weights } = mix;
  const world = worlds.draw(random);
  const include = families.length > 0 ? families : undefined;
  const chosen = selectFamilies({ include, exclude: heldOut }, familiesOf(worlds, world?.name));
  const often = chosen.map(({ name }) => weights[name] ?? 1);
  const task = random.pick(chosen, often).draw(random);
  return { ...task, pair: (pairRandom, size) => task.pair(pairRandom, size, world) };
}

/** Pairs of one task of a data set, forwards or backwards. */
async function drawPairs(
  random: Random,
  { sets, number, mix }: Drawing,
  counts: { readonly examples: number; readonly todos: number },
  { image }: Tokenizers,
): Promise<Pairs> {
  const size = image.config.resolution;
  const { examples, todos } = await random.pick(sets).context(number, { ...counts, size });
  const backwards = random.chance(mix.pairsReversed);
  const turned = (pairs: readonly LoadedPair[]) =>
    backwards ? pairs.map((pair) => (pair.input ? reversed(pair) : pair)) : pairs;
  return { examples: turned(examples), todos: turned(todos) };
}

/** Pairs of one task: what is shown, and what is asked. */
interface Pairs {
  /** None for text to image. */
  readonly examples: readonly AnyPair[];
  readonly todos: readonly AnyPair[];
}
type AnyPair = Pick<LoadedPair, "input" | "output" | "instruction" | "difference">;

/** A context of pairs, with words where the mix wants them; text to image has nothing else to go by. */
function contextOf(
  pairs: Pairs,
  random: Random,
  { mix, examples, xprompt }: Drawing,
  { image, text }: Tokenizers,
): Context<Image> {
  const empty = random.chance(mix.withoutExample) || pairs.examples.length === 0;
  const told = ({ input, instruction = "" }: AnyPair, share: number) => {
    const limit = textLimit(xprompt, input ? 1 : 0, image.codesPerImage);
    return random.chance(input ? share : 1) ? text.encode(instruction.toLowerCase()).slice(0, limit) : [];
  };
  return {
    examples: empty
      ? Array(examples).fill(null)
      : pairs.examples.map((pair) => ({
          input: pair.input!,
          output: pair.output,
          instruction: told(pair, mix.exampleInstruction),
        })),
    todos: pairs.todos.map((pair) => ({
      input: pair.input,
      instruction: told(pair, empty ? (mix.instructionWithoutExample ?? 0.9) : mix.todoInstruction),
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
