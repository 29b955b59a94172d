import { expect, test } from "vitest";
import { Random } from "../../../src/random.ts";
import type { Context } from "../../../src/training/transformer/context.ts";
import { packBatch } from "../../../src/training/transformer/data.ts";
import { inWindows, positionsOf } from "../../../src/training/transformer/windows.ts";
import { type Codes, exampleTokens, queryTokens, targetTokens } from "../../../src/xprompt/sequence.ts";
import { tinyTokenizers, tinyXPrompt } from "../../fixtures/chameleon/kit.ts";

const tiny = tinyTokenizers();
const { vocabulary } = tiny.text;
const [grid, side] = [4, 2];
const random = Random.of(1, "windows");
const picture = () => Array.from({ length: grid * grid }, () => random.integer(0, 5));
const [word] = [vocabulary.textTokens[0]!];
const whole: Context<Codes> = {
  examples: [{ input: picture(), output: picture(), instruction: [word] }, null],
  todos: [
    { input: picture(), instruction: [word, word], target: { picture: picture() } },
    { input: picture(), instruction: [], target: { words: [word] } },
    { instruction: [word], target: { picture: picture() } },
  ],
};

/** What a sequence has at each position. */
const placed = (tokens: readonly number[], positions: readonly number[]) =>
  new Map(positions.map((position, i) => [position, tokens[i]!]));

const exampleOf = (example: Context<Codes>["examples"][number]) => {
  const tokens = exampleTokens(vocabulary, example, 2);
  return placed(tokens, positionsOf(tokens, 0, vocabulary, example?.window));
};
const todoOf = ({ window, ...todo }: Context<Codes>["todos"][number]) => {
  const answer = "words" in todo.target ? "words" : "picture";
  const tokens = [...queryTokens(vocabulary, { ...todo, answer }), ...targetTokens(vocabulary, todo.target)];
  return placed(tokens, positionsOf(tokens, 9, vocabulary, window));
};

test("all that a window shows is at the same position in the whole pictures", () => {
  const places = new Set<string>();
  for (let i = 0; i < 40; i++) {
    const shown = inWindows(whole, Random.of(i, "window"), side, grid * grid);
    for (const [j, example] of shown.examples.entries()) {
      const [part, all] = [exampleOf(example), exampleOf(whole.examples[j]!)];
      for (const [position, token] of part) expect(all.get(position)).toBe(token);
      if (example) expect(part.size).toBe(all.size - 2 * (grid * grid - side * side));
    }
    for (const [j, todo] of shown.todos.entries()) {
      const [part, all] = [todoOf(todo), todoOf(whole.todos[j]!)];
      for (const [position, token] of part) expect(all.get(position)).toBe(token);
      places.add(`${todo.window!.row} ${todo.window!.column}`);
    }
  }
  expect(places.size).toBe((grid - side + 1) ** 2);
});

test("a window of the whole grid changes nothing", () => {
  const { examples, todos } = inWindows(whole, Random.of(1, "window"), grid, grid * grid);
  expect(examples.map(exampleOf)).toEqual(whole.examples.map(exampleOf));
  expect(todos.map(todoOf)).toEqual(whole.todos.map(todoOf));
});

test("a packed batch has the lengths and positions of its windows", () => {
  const context = inWindows({ ...whole, todos: whole.todos.slice(0, 1) }, random, side, grid * grid);
  const weights = { target: 1, words: 1, query: 1, instruction: 1 };
  const options = { xprompt: { ...tinyXPrompt, maxTextTokens: 2 }, weights };
  const batch = packBatch({ kind: "changes", window: side, contexts: [context] }, options, tiny);
  const { todoLength, exampleLength } = batch.packing;
  expect(todoLength).toBe(1 + 2 + 2 * (side * side + 2));
  expect(exampleLength).toBe(1 + 2 + 2 * (side * side + 2) + tinyXPrompt.tokens);
  const [todo] = context.todos;
  const tokens = [
    ...queryTokens(vocabulary, { ...todo!, answer: "picture" }),
    ...targetTokens(vocabulary, todo!.target),
  ];
  const positions = positionsOf(tokens, tinyXPrompt.todoPosition, vocabulary, todo!.window);
  const length = tokens.length - 1;
  expect([...batch.todoPositions.slice(0, length)].map(Number)).toEqual(positions.slice(0, length));
  const shown = exampleTokens(vocabulary, context.examples[0]!, tinyXPrompt.tokens);
  const [first] = [exampleLength - shown.length];
  expect([...batch.examplePositions.slice(first, exampleLength)].map(Number)).toEqual(
    positionsOf(shown, 0, vocabulary, context.examples[0]!.window),
  );
});
