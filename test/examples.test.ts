/** @file The tasks of examples/: complete, readable, and what they say they are. */
import { expect, test } from "vitest";
import { changedPhotographs, exampleTasks, groups } from "../examples/tasks.ts";
import { rmse } from "../src/evaluation/metrics/pictures.ts";
import { loadImage } from "../src/image/index.ts";

test("every group has tasks, and every picture of a task can be read", async () => {
  const tasks = await exampleTasks();
  expect(new Set(tasks.map(({ group }) => group))).toEqual(new Set(Object.keys(groups)));
  expect(tasks.filter(({ unseen }) => unseen).map(({ name }) => name)).toEqual([
    ...["depthUnseenPalette", "derain", "lowLightEnhancement", "removeObject"],
    ...["derain", "flatToLine"],
  ]);
  for (const { before, after, queries } of tasks) {
    const [input, output] = await Promise.all([before, after].map((path) => loadImage(path)));
    expect([output!.width, output!.height]).toEqual([input!.width, input!.height]);
    expect(rmse(input!, output!)).toBeGreaterThan(0.005);
    expect(queries.length).toBeGreaterThan(1);
    for (const query of queries) {
      const [asked, truth] = [await loadImage(query.input), await query.truth()];
      expect([truth.width, truth.height]).toEqual([asked.width, asked.height]);
    }
  }
});

test("the files of changed photographs are those that examples/make.ts writes, but for JPEG's losses", async () => {
  const made = await changedPhotographs();
  expect(made).toHaveLength(11);
  for (const { path, image } of made) expect(rmse(await loadImage(path), image)).toBeLessThan(0.04);
});
