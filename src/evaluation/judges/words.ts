/**
 * @file Judging a description of a change against the truth: is the kind of change right, the objects, the attributes,
 * the relations. The vocabulary of the world says which words belong together.
 */
import {
  colorNames,
  floors,
  materials,
  places,
  seasons,
  shapes,
  sizeNames,
  times,
} from "../../tasks/world/scene.ts";

/** What a word of a description can be about. */
export const aspects = ["object", "attribute", "relation"] as const;
export type Aspect = (typeof aspects)[number];

const vocabulary: Readonly<Record<Aspect, ReadonlySet<string>>> = {
  object: new Set(shapes.flatMap((shape) => [shape, `${shape}s`])),
  attribute: new Set<string>([
    ...[...colorNames, "cyan", "magenta", "turquoise", "violet", "grey", "gray"],
    ...[...sizeNames, ...materials, ...places, ...seasons, ...times, ...floors],
  ]),
  relation: new Set([
    ...["left", "right", "top", "bottom", "up", "down", "upwards", "downwards", "above", "below"],
    ...["clockwise", "counterclockwise", "horizontally", "vertically", "corners", "center", "middle"],
    ...["more", "less", "brighter", "darker", "larger", "smaller", "closer", "one", "two", "three", "four"],
    ...["behind", "front", "beside", "first", "second", "nearest", "farthest"],
  ]),
};

/** Which side is spoken of decides what a sentence means: "gone in the output" is not "gone in the input". */
const tokens = (text: string): string[] => text.toLowerCase().match(/[a-z]+|\d+/g) ?? [];

function aspectOf(word: string): Aspect | undefined {
  if (/^\d+$/.test(word)) return "relation";
  return aspects.find((aspect) => vocabulary[aspect].has(word));
}

/** Words of one aspect, in alphabetical order. */
const wordsOf = (text: string, aspect: Aspect): string =>
  tokens(text)
    .filter((word) => aspectOf(word) === aspect)
    .sort()
    .join(" ");

/** How much of two bags of words is shared, F₁ in [0, 1]; words of an aspect count as that aspect, whatever they are. */
function likeness(a: string, b: string): number {
  const bag = (text: string) => {
    const counts = new Map<string, number>();
    for (const word of tokens(text)) {
      const key = aspectOf(word) ?? word;
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    return counts;
  };
  const [first, second] = [bag(a), bag(b)];
  const size = (counts: Map<string, number>) => [...counts.values()].reduce((sum, count) => sum + count, 0);
  let shared = 0;
  for (const [word, count] of first) shared += Math.min(count, second.get(word) ?? 0);
  const total = size(first) + size(second);
  return total === 0 ? 0 : (2 * shared) / total;
}

/** Ways of telling each kind of change. */
export type Sayings = ReadonlyMap<string, readonly string[]>;

/** What is right in a description; an aspect that the truth does not speak of is left out. */
export interface Judgement {
  /** Its wording is likest to that of the right kind of change. */
  readonly kind: boolean;
  readonly object?: boolean;
  readonly attribute?: boolean;
  readonly relation?: boolean;
}

/**
 * @param text what was said
 * @param truth a true description of the same change
 * @param kind the kind of change, a key of `sayings`; kinds that are told alike share what they are worth
 */
export function judgeWords(text: string, truth: string, kind: string, sayings: Sayings): Judgement {
  const scores = [...sayings].map(
    ([name, texts]) => [name, Math.max(...texts.map((each) => likeness(text, each)))] as const,
  );
  const best = Math.max(...scores.map(([, score]) => score));
  const isBest = scores.some(([name, score]) => name === kind && score === best && best > 0);
  const judged = aspects.flatMap((aspect) => {
    const expected = wordsOf(truth, aspect);
    return expected === "" ? [] : [[aspect, wordsOf(text, aspect) === expected] as const];
  });
  return { kind: isBest, ...Object.fromEntries(judged) };
}
