/** @file The contact sheet of a run: which pairs it contains. */
import { expect, test } from "vitest";
import { createImage, type Image } from "../../../src/image/index.ts";
import { transformerRecipe } from "../../../src/training/index.ts";
import type { ContextSource } from "../../../src/training/transformer/contexts.ts";
import { transformerSheet } from "../../../src/training/transformer/sheet.ts";
import type { Example, GenerateOptions, XPrompt } from "../../../src/xprompt/model.ts";

const size = 16;
const grey = (level: number): Image => createImage(size, size, [level, level, level]);

test("the user's pairs come first, then the families", async () => {
  const shown: Example[] = [];
  const queries: unknown[] = [];
  const model = {
    size,
    async compress([example]: readonly Example[]) {
      shown.push(example!);
    },
    async generate({ input }: GenerateOptions) {
      queries.push(input);
      return { images: [input] };
    },
  } as unknown as XPrompt;
  const pair = (level: number) => ({
    ...{ id: `${level}`, task: "own", subtask: "", source: "", licence: "" },
    ...{ input: grey(level), output: grey(1 - level) },
  });
  const set: ContextSource = {
    digest: "",
    context: async (n) => ({ task: "own", examples: [pair(n / 100)], todos: [pair((n + 50) / 100)] }),
  };
  const recipe = transformerRecipe({ steps: 1, mix: { families: ["invert"] } });
  const without = await transformerSheet(model, recipe, "none");
  expect(shown).toHaveLength(1);
  const sheet = await transformerSheet(model, recipe, "own", [set]);
  expect(shown.slice(1).map(({ input }) => (input as Image).data[0])).toEqual([
    ...[0, 1, 2, 3, 4, 5, 6, 7].map((n) => Math.fround(n / 100)),
    (shown[0]!.input as Image).data[0],
  ]);
  expect((queries[1] as Image).data[0]).toBeCloseTo(0.5, 6);
  expect(sheet.height).toBeGreaterThan(without.height);
});
