/** @file Guesses of codes, worked out by hand. */
import { expect, test } from "vitest";
import { CodeGuesses } from "../../src/xprompt/code-guesses.ts";

/** Guesses after each code of a picture: all that there are. */
function guessesAfter(codes: readonly number[], input?: readonly number[]): number[][] {
  const soFar: number[] = [];
  const guesses = new CodeGuesses(soFar, codes.length, input);
  const all = () => {
    const found: number[] = [];
    for (let next = guesses.at(0); next !== undefined; next = guesses.at(found.length)) found.push(next.code);
    return found;
  };
  return [
    all(),
    ...codes.map((code) => {
      soFar.push(code);
      guesses.learn();
      return all();
    }),
  ];
}

test("with an input: what its code became last, else the code itself; none for the last place", () => {
  expect(guessesAfter([9, 2, 8, 7], [1, 2, 1, 3])).toEqual([[1, 2, 1], [2, 9], [9], [], []]);
  expect(guessesAfter([9, 8, 6, 7, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1, 2, 1, 1])[2]).toEqual([
    8, 8, 8, 8, 2, 8,
  ]);
});

test("without: the code above, else the last one; nothing before the first", () => {
  expect(guessesAfter([5, 6, 7, 8])).toEqual([[], [5, 5], [5], [], []]);
  expect(guessesAfter([1, 2, 3, 4, 5, 6, 7, 8, 9])[4]).toEqual([2, 3, 4, 4]);
});
