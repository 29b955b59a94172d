/** @file The training facts in a model's configuration. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { hasSeen, readTrainingFacts } from "../../src/evaluation/training-facts.ts";
import { Random } from "../../src/tasks/index.ts";
import { transformerRecipe } from "../../src/training/index.ts";
import { trainingFacts } from "../../src/training/transformer/parts.ts";

async function factsOf(training: object) {
  const folder = await mkdtemp(join(tmpdir(), "xprompt-facts-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, "config.json"), JSON.stringify({ training }));
  return readTrainingFacts(folder);
}

test("families exclude the held-out ones, also as parts of combined ones", async () => {
  const facts = await factsOf({
    families: ["rain", "derain", "invert", "rotate", "likeExample"],
    ...{ held_out: ["derain"], held_out_prototypes: ["geometry"] },
  });
  expect(facts.families.map(({ name }) => name)).toEqual(["rain", "invert", "likeExample"]);
  expect(facts.heldOutPrototypes).toEqual(["geometry"]);
  expect([hasSeen(facts, "rain"), hasSeen(facts, "derain")]).toEqual([true, false]);
  const parts = Array.from({ length: 20 }, (_, i) => facts.families.at(-1)!.draw(Random.of(i)).parameters);
  expect(new Set(parts.map(({ change }) => change))).toEqual(new Set(["rain", "invert"]));
});

test("families of gathered pictures have been seen if they are named", async () => {
  const facts = await factsOf({ families: ["rain", "addCutout", "iconStyle"], held_out: [] });
  expect(facts.families.map(({ name }) => name)).toEqual(["rain"]);
  expect(["addCutout", "iconStyle", "removeCutout"].map((name) => hasSeen(facts, name))).toEqual([
    true,
    true,
    false,
  ]);
});

test("an unknown family is an error that suggests the closest name", async () => {
  await expect(factsOf({ families: ["rain", "deran"] })).rejects.toThrow(
    'training.families.1: expected a known family, got "deran" (did you mean "derain"?)',
  );
});

test("a model that was trained on no family has seen none; without facts it has seen all", async () => {
  expect((await factsOf({ families: [] })).families).toEqual([]);
  const { families } = await factsOf({});
  expect(families.map(({ name }) => name)).toContain("invert");
  expect(families.map(({ name }) => name)).not.toContain("derain");
});

test("a run's facts are the families that it draws", () => {
  const familiesOf = (mix: object) => trainingFacts(transformerRecipe({ steps: 1, mix } as never)).families!;
  expect(familiesOf({})).toContain("addObject");
  const ofPhotos = familiesOf({ worlds: { scenes: 0, photos: 1 } });
  expect(ofPhotos).toContain("invert");
  expect(ofPhotos).not.toContain("depth");
  expect(ofPhotos).toContain("addCutout");
  expect(ofPhotos).not.toContain("iconStyle");
  const ofIcons = familiesOf({ worlds: { scenes: 1, icons: 1 }, heldOut: ["iconStyleUnseen"] });
  expect(ofIcons).toContain("iconStyle");
  expect(ofIcons).not.toContain("iconStyleUnseen");
  expect(ofIcons).not.toContain("addCutout");
  expect(familiesOf({})).not.toContain("iconStyle");
  expect(familiesOf({ pairs: ["pairs"], pairsShare: 1, describe: 0 })).toEqual([]);
  expect(familiesOf({ pairs: ["pairs"], pairsShare: 0.5 })).toContain("invert");
  // Pairs without words for their change are described by drawn ones.
  expect(familiesOf({ pairs: ["pairs"], pairsShare: 1, describe: 0.5 })).toContain("invert");
  expect(familiesOf({ weights: { invert: 0 } })).not.toContain("invert");
});
