/**
 * @file Draws pictures beside what image tokenizers make of them, with the PSNR of each world.
 *
 *     npx tsx tools/docs/round-trips.ts gathered docs/round-trips.webp old=models/nano new=runs/nano-tokenizer/model
 */
import { loadTokenizers } from "../../src/chameleon/checkpoint/folder.ts";
import { iconPicture, openHeldOut, squareOf } from "../../src/evaluation/gathered/pictures.ts";
import { mean } from "../../src/evaluation/metrics/bootstrap.ts";
import { boundedPsnr } from "../../src/evaluation/metrics/pictures.ts";
import { contactSheet, type Image, saveImage } from "../../src/image/index.ts";
import { drawScene, Random, renderScene } from "../../src/tasks/index.ts";

const COLUMNS = 6;
const SIZE = 64;
/** Pictures that the figures are means of. */
const MEASURED = 48;

const [folder, output, ...models] = process.argv.slice(2);
if (!folder || !output || models.length === 0)
  throw new Error(
    "expected a folder of gathered pictures, a file to write, and NAME=MODEL of each tokenizer",
  );

const random = Random.of(2026, "round trips");
const heldOut = openHeldOut(folder);
const icons = heldOut.iconSets.flatMap(({ icons }) => [...icons.values()]);
/** The middle square of a photograph. */
const photo = (): Image => squareOf(random.pick(heldOut.photos), SIZE);
const worlds: Readonly<Record<string, () => Image>> = {
  scenes: () => renderScene(drawScene(random), SIZE).image,
  photographs: photo,
  icons: () => iconPicture(random.pick(icons).layers(), SIZE),
};
const pictures = Object.entries(worlds).map(([world, draw]) => ({
  world,
  truth: Array.from({ length: MEASURED }, draw),
}));

const rows = pictures.map(({ world, truth }) => [
  { label: world, cells: truth.slice(0, COLUMNS).map((image) => ({ image })) },
]);
for (const model of models) {
  const [name, path] = model.split("=") as [string, string];
  const { image: tokenizer } = await loadTokenizers(path);
  for (const [i, { world, truth }] of pictures.entries()) {
    const decoded = await tokenizer.decode(await tokenizer.encode(truth));
    const psnr = mean(decoded.map((image, j) => boundedPsnr(image, truth[j]!)));
    console.log(`${name}, ${world}: ${psnr.toFixed(1)} dB`);
    const label = `${name}: ${psnr.toFixed(1)} dB`;
    rows[i]!.push({ label, cells: decoded.slice(0, COLUMNS).map((image) => ({ image })) });
  }
  await tokenizer.release();
}
await saveImage(output, contactSheet(rows.flat(), { scale: 2 }));
