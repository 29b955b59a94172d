/** @file Training on the user's pairs: broken records are skipped and reported, changed sets are refused. */
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { createImage, savePng } from "../../src/image/index.ts";
import { prepareTask, runTraining, transformerRecipe } from "../../src/training/index.ts";
import { writeTinyTokenizers } from "../fixtures/chameleon/kit.ts";

const COUNT = 11;
const BROKEN = 6;
let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "xprompt-skipped-"));
  await writeTinyTokenizers(join(folder, "tokenizers"));
  for (const side of ["input", "output"]) await mkdir(join(folder, "pairs", side), { recursive: true });
  for (let i = 0; i < COUNT; i++) {
    await savePng(join(folder, "pairs", "input", `${i}.png`), createImage(16, 16));
    const output = join(folder, "pairs", "output", `${i}.png`);
    if (i > BROKEN - 1) await savePng(output, createImage(16, 16));
    else if (i > 0) await writeFile(output, "broken"); // The first pair has no output.
  }
});
afterAll(() => rm(folder, { recursive: true }));

const prepared = (workers: number) =>
  prepareTask(
    transformerRecipe({
      ...{ steps: 3, contexts: 4, todos: 2, optimizer: {}, schedule: {}, loss: {}, workers, threads: 1 },
      ...{ tokenizers: join(folder, "tokenizers"), model: { layers: 1 }, xprompt: { tokens: 3 } },
      mix: { families: ["invert"], pairs: [join(folder, "pairs")], pairsShare: 1, pairsHeldOut: 0 },
      heldOutBatches: 1,
    }),
  );

test.each([0, 2])("broken records are reported and counted once, with %i workers", async (workers) => {
  const write = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  const task = await prepared(workers);
  const result = await runTraining(task, { out: join(folder, `run-${workers}`) });
  await task.close();
  const lines = write.mock.calls.map(([line]) => String(line));
  vi.restoreAllMocks();
  expect(result.skipped).toBe(BROKEN);
  const first = `${join(folder, "pairs")}: input/0.png: it has no output picture beside it`;
  expect(lines.filter((line) => line.includes("broken"))).toEqual([
    `skipping broken records: ${first}\n`,
    `skipped ${BROKEN} broken records of data sets; the first: ${first}\n`,
  ]);
});

test("a run does not resume when the records of a set have changed", async () => {
  const out = join(folder, "run-0");
  const side = (name: string, i: number) => join(folder, "pairs", name, `${i}.png`);
  for (const name of ["input", "output"]) await rename(side(name, COUNT - 1), side(name, COUNT));
  const task = await prepared(0);
  await expect(runTraining(task, { out, resume: true })).rejects.toThrow(
    `resuming ${out}: expected the data sets and gathered pictures that it was started with`,
  );
  await task.close();
});
