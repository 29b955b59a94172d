/**
 * Makes the pictures of this folder anew: for each task an example pair, and queries with the true answers.
 *
 *     npx tsx examples/make.ts
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { savePng } from "x-prompt";
import { familyNamed, Random } from "x-prompt/tasks";

/** Tasks of families that nano was trained on (with other parameters and scenes), and of families it never saw. */
const tasks = {
  seen: [
    "invert",
    "duotone",
    "grayscale",
    "hueRotation",
    "flipHorizontal",
    "lowLight",
    "depth",
    "segmentation",
    "cutOut",
    "dehaze",
    "timeOfDay",
    "recolor",
  ],
  unseen: ["derain", "lowLightEnhancement", "depthUnseenPalette", "removeObject"],
};
const SIZE = 128;
const QUERIES = 3;

for (const [part, names] of Object.entries(tasks))
  for (const name of names) {
    const random = Random.of("examples", name);
    const task = familyNamed(name).draw(random);
    const folder = join(import.meta.dirname, part, name);
    await mkdir(folder, { recursive: true });
    const example = task.pair(random, SIZE);
    await savePng(join(folder, "before.png"), example.input);
    await savePng(join(folder, "after.png"), example.output);
    for (let i = 1; i <= QUERIES; i++) {
      const { input, output } = task.pair(random, SIZE);
      await savePng(join(folder, `query-${i}.png`), input);
      await savePng(join(folder, `truth-${i}.png`), output);
    }
  }
