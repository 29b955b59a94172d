/**
 * @file Judges the description of a change: whether the kind of change, the objects, the attributes and the relations
 * are right. The vocabulary of the world assigns words to these aspects.
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

/** The aspects of a description that a word can belong to. */
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

/** All words count, also "input" and "output": "gone in the output" is not "gone in the input". */
const tokens = (text: string): string[] => text.toLowerCase().match(/[a-z]+|\d+/g) ?? [];

function aspectOf(word: string): Aspect | undefined {
  if (/^\d+$/.test(word)) return "relation";
  return aspects.find((aspect) => vocabulary[aspect].has(word));
}

/** The words of one aspect, in alphabetical order. */
const wordsOf = (text: string, aspect: Aspect): string =>
  tokens(text)
    .filter((word) => aspectOf(word) === aspect)
    .sort()
    .join(" ");

/** F₁ of two bags of words, in [0, 1]. All words of the same aspect count as equal. */
function similarity(a: string, b: string): number {
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

/** Example phrasings of each kind of change. */
export type Phrasings = ReadonlyMap<string, readonly string[]>;

/** What is right in a description. Aspects that the truth does not mention are missing. */
export interface Judgement {
  /** Whether the wording is most similar to that of the right kind of change. */
  readonly kind: boolean;
  readonly object?: boolean;
  readonly attribute?: boolean;
  readonly relation?: boolean;
}

/**
 * @param text the description to judge
 * @param truth a true description of the same change
 * @param kind the kind of change, a key of `phrasings`. Kinds with the same phrasing are both right.
 */
export function judgeWords(text: string, truth: string, kind: string, phrasings: Phrasings): Judgement {
  const scores = [...phrasings].map(
    ([name, texts]) => [name, Math.max(...texts.map((each) => similarity(text, each)))] as const,
  );
  const best = Math.max(...scores.map(([, score]) => score));
  const isBest = scores.some(([name, score]) => name === kind && score === best && best > 0);
  const judged = aspects.flatMap((aspect) => {
    const expected = wordsOf(truth, aspect);
    return expected === "" ? [] : [[aspect, wordsOf(text, aspect) === expected] as const];
  });
  return { kind: isBest, ...Object.fromEntries(judged) };
}
