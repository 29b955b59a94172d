/**
 * @file Windows: of every pair of pictures only the same square part is shown, so that a step has room for more pairs.
 * What is learned carries over to whole pictures, because the codes of a window keep their positions.
 */
import type { Vocabulary } from "../../chameleon/tokenizers/vocabulary.ts";
import type { Random } from "../../random.ts";
import type { Codes } from "../../xprompt/sequence.ts";
import type { Context, Window } from "./context.ts";

/** Cuts a window out of every pair of pictures, at a random place each. */
export function inWindows(
  { examples, todos }: Context<Codes>,
  random: Random,
  side: number,
  codesPerImage: number,
): Context<Codes> {
  const grid = Math.sqrt(codesPerImage);
  const draw = (): Window => {
    const [row, column] = [random.integer(0, grid - side), random.integer(0, grid - side)];
    return { row, column, side, grid };
  };
  return {
    examples: examples.map((example) => {
      if (!example) return null;
      const window = draw();
      return { ...example, input: cut(example.input, window), output: cut(example.output, window), window };
    }),
    todos: todos.map((todo) => {
      const window = draw();
      const { input, target } = todo;
      return {
        ...todo,
        ...(input && { input: cut(input, window) }),
        target: "words" in target ? target : { picture: cut(target.picture, window) },
        window,
      };
    }),
  };
}

const cut = (codes: Codes, { row, column, side, grid }: Window): Codes =>
  Array.from(
    { length: side * side },
    (_, i) => codes[(row + Math.floor(i / side)) * grid + column + (i % side)]!,
  );

/** Positions of tokens that begin at `start`. Codes of a window have those that they have in the whole picture. */
export function positionsOf(
  tokens: readonly number[],
  start: number,
  { beginImage, endImage }: Vocabulary,
  window?: Window,
): number[] {
  if (!window) return tokens.map((_, i) => start + i);
  const { row, column, side, grid } = window;
  /** Position of the picture's first code, and the number of its codes so far; inside a picture. */
  let picture: { readonly first: number; count: number } | undefined;
  let next = start;
  return tokens.map((token) => {
    if (picture && token !== endImage) {
      const i = picture.count++;
      return picture.first + (row + Math.floor(i / side)) * grid + column + (i % side);
    }
    if (picture) next = picture.first + grid * grid;
    picture = token === beginImage ? { first: next + 1, count: 0 } : undefined;
    return next++;
  });
}
