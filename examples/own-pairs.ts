/**
 * Makes the pairs of docs/tutorial.md: scenes, and the same scenes as old photographs. Replace `age` by a change of your
 * own, or the whole folder by pictures of your own.
 *
 *     npx tsx examples/own-pairs.ts tutorial
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { createImage, type Image, savePng } from "x-prompt";
import { drawScene, Random, renderScene } from "x-prompt/tasks";

/** Pairs to train on. One scene more, larger, is for trying the result. */
const PAIRS = 50;
const SIZE = 128;
const LARGE = 384;
/** Share of the width. */
const BORDER = 0.08;

/** Brown, faded, darker towards the corners, in a cream border. */
function age(image: Image): Image {
  const { width, height } = image;
  const out = createImage(width, height);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const at = 3 * (y * width + x);
      const edge = Math.min(x, y, width - 1 - x, height - 1 - y) / width;
      const [r, g, b] = image.data.subarray(at, at + 3) as unknown as [number, number, number];
      const grey = 0.3 * r + 0.59 * g + 0.11 * b;
      const corner = 1 - 0.5 * ((x / width - 0.5) ** 2 + (y / height - 0.5) ** 2);
      const brown = [0.22 + 0.66 * grey, 0.14 + 0.6 * grey, 0.08 + 0.46 * grey].map(
        (value) => value * corner,
      );
      out.data.set(edge < BORDER ? [0.94, 0.91, 0.82] : brown, at);
    }
  return out;
}

const [folder] = process.argv.slice(2);
if (!folder) throw new Error("expected a folder to write to: npx tsx examples/own-pairs.ts tutorial");
const sceneOf = (name: string, size: number) =>
  renderScene(drawScene(Random.of("own pairs", name)), size).image;
for (const side of ["input", "output"]) await mkdir(join(folder, "pairs", side), { recursive: true });
for (let i = 1; i <= PAIRS; i++) {
  const name = `${String(i).padStart(2, "0")}.png`;
  const input = sceneOf(name, SIZE);
  await savePng(join(folder, "pairs", "input", name), input);
  await savePng(join(folder, "pairs", "output", name), age(input));
}
const scene = sceneOf("new", LARGE);
await savePng(join(folder, "new.png"), scene);
await savePng(join(folder, "truth.png"), age(scene));
console.log(`wrote ${PAIRS} pairs to ${folder}/pairs, and ${folder}/new.png with ${folder}/truth.png`);
