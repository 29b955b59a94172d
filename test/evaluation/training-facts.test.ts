/** @file The training facts in a model's configuration. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { readTrainingFacts } from "../../src/evaluation/training-facts.ts";

async function factsOf(training: object) {
  const folder = await mkdtemp(join(tmpdir(), "xprompt-facts-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, "config.json"), JSON.stringify({ training }));
  return readTrainingFacts(folder);
}

test("families exclude the held-out ones", async () => {
  expect(await factsOf({ families: ["rain", "derain"], held_out: ["derain"] })).toEqual({
    families: ["rain"],
    heldOutPrototypes: [],
  });
});

test("an unknown family is an error that suggests the closest name", async () => {
  await expect(factsOf({ families: ["rain", "deran"] })).rejects.toThrow(
    'training.families.1: expected a known family, got "deran" (did you mean "derain"?)',
  );
});
