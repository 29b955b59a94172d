/**
 * @file Makes docs/gallery.md and its pictures anew: what the shipped model does today with the pictures of examples/,
 * beside two baselines. The sections follow from the figures, so that nothing has to be edited by hand. Some rows,
 * always the same, also make docs/overview.webp.
 *
 *     npm run docs:gallery
 */
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { type ExampleTask, exampleTasks, type Query, withLongerSide } from "../../examples/tasks.ts";
import { colourFit } from "../../src/evaluation/baselines/index.ts";
import { boundedPsnr } from "../../src/evaluation/metrics/pictures.ts";
import type { SheetRow } from "../../src/image/index.ts";
import { contactSheet, fromBytes, type Image, loadImage, saveImage, XPrompt } from "../../src/index.ts";
import { writeFileAtomic } from "../../src/runtime/files.ts";

const SEED = 1;
const FOLDER = "docs/gallery";
/** Pixels along the longer side of the pictures in a strip. */
const SHOWN = 160;
/** Rows of the overview, by kind and name: some that work and some that do not. */
const OVERVIEW = [
  "photograph-sepia",
  "photograph-vignette",
  "photograph-mirror",
  "scene-depth",
  "scene-timeOfDay",
  "scene-derain",
  "photograph-blur",
];
const COLUMNS = ["before", "after", "your picture", "result", "truth"];
const singular = { scenes: "scene", scenesUnseen: "scene", photographs: "photograph", icons: "icon" };
/** Kept in the files' EXIF data. */
const about = { Software: "xprompt", xprompt: "made by npm run docs:gallery" };

interface Item {
  readonly name: string;
  readonly kind: string;
  /** Paths of the example pair and of the query, as the command names them. */
  readonly before: string;
  readonly after: string;
  readonly input: string;
  readonly truth: Image;
}

interface Measured extends Item {
  readonly row: SheetRow;
  /** Whether the result is a map of colours, and not the drawing. */
  readonly isMap: boolean;
  /** PSNR to the truth in dB. */
  readonly result: number;
  readonly unchanged: number;
  readonly fitted: number;
}

const items = await Promise.all((await exampleTasks()).map(itemOf));
const model = await XPrompt.load("nano");
await rm(FOLDER, { recursive: true, force: true });
await mkdir(FOLDER, { recursive: true });
const measured: Measured[] = [];
for (const item of items) measured.push(await measure(item));
await writeFileAtomic("docs/gallery.md", page());
const rows = OVERVIEW.map((name) => measured.find((item) => nameOf(item) === name)!.row);
await saveImage("docs/overview.webp", contactSheet(rows, { columnTitles: COLUMNS }), { text: about });
await model.release();

/** The first query of a task. */
async function itemOf({ name, group, unseen, before, after, queries }: ExampleTask): Promise<Item> {
  const [{ input, truth }] = queries as [Query];
  const kind = `${singular[group]}, ${unseen ? "task never seen in training" : "trained task"}`;
  return { name, kind, before, after, input, truth: await truth() };
}

async function measure(item: Item): Promise<Measured> {
  const example = { input: item.before, output: item.after };
  const { images, changeFrom } = await model.generate({
    examples: [example],
    input: item.input,
    seed: SEED,
    fullSize: true,
  });
  const [{ width, height, data }] = images;
  const result = fromBytes(width, height, data);
  const [input, before, after] = await Promise.all(
    [item.input, item.before, item.after].map((path) => loadImage(path)),
  );
  const fitted = colourFit([{ input: before!, output: after! }], input!);
  const strip = [before!, after!, input!, result, item.truth].map((image) => ({
    image: withLongerSide(image, SHOWN),
  }));
  await saveImage(pictureOf(item), contactSheet([{ cells: strip }], { columnTitles: COLUMNS }), {
    text: about,
  });
  return {
    ...item,
    row: { label: item.name, cells: strip },
    isMap: changeFrom === "example colours",
    result: boundedPsnr(result, item.truth),
    unchanged: boundedPsnr(input!, item.truth),
    fitted: boundedPsnr(fitted, item.truth),
  };
}

function nameOf({ name, kind }: Item): string {
  return `${kind.split(",")[0]}-${name}`;
}

function pictureOf(item: Item): string {
  return join(FOLDER, `${nameOf(item)}.webp`);
}

function page(): string {
  const isBest = ({ result, unchanged, fitted }: Measured) => result > unchanged && result > fitted;
  const isWorst = ({ result, unchanged }: Measured) => result <= unchanged;
  const best = measured.filter(isBest);
  const worst = measured.filter(isWorst);
  const between = measured.filter((item) => !isBest(item) && !isWorst(item));
  return [
    "# Gallery",
    "",
    `What the shipped model nano (fingerprint \`${model.fingerprint}\`) does today: one example pair, one new picture, seed ${SEED},`,
    `nothing chosen. It sees and draws ${model.size} × ${model.size} pixels; the result is brought to the size of your picture. Run the commands in a`,
    "clone; the pictures of this page are not in the package. `npm run docs:gallery` makes this page anew, for whatever model is shipped.",
    "",
    "Figures are PSNR in dB against the true result; more is better. *Unchanged* is your picture as it is. *Colour fit*",
    "is a baseline: twelve numbers, fitted to the colours of the same pair. Where a map of colours explains the pair, the result is",
    "[that map's](generate-size.md#changes-of-colours), not the drawing's.",
    "",
    "Photographs are in the public domain ([authors](../examples/photos/README.md)). Icons are of OpenMoji (CC-BY-SA-4.0), Twemoji",
    "(CC-BY-4.0), MingCute and Noto (Apache-2.0) ([authors](../examples/icons/README.md)); pictures with icons of OpenMoji are under",
    "CC-BY-SA-4.0.",
    "",
    `Of ${measured.length} results, ${best.length} are better than both, ${between.length} better than the unchanged picture alone, and ${worst.length} worse than the unchanged picture.`,
    "",
    ...section("Better than the unchanged picture and the colour fit", best),
    ...section("Better than the unchanged picture; the colour fit is as good or better", between),
    ...section("Worse than the unchanged picture", worst),
  ].join("\n");
}

function section(title: string, items: readonly Measured[]): string[] {
  const byGain = items.toSorted((a, b) => b.result - b.unchanged - (a.result - a.unchanged));
  return [`## ${title}`, "", ...(items.length > 0 ? byGain.flatMap(entry) : ["None.", ""])];
}

function entry(item: Measured): string[] {
  const [result, unchanged, fitted] = [item.result, item.unchanged, item.fitted].map((each) =>
    each.toFixed(1),
  );
  return [
    `### ${item.name} (${item.kind})`,
    "",
    `![${item.name}: before, after, your picture, result, truth](${pictureOf(item).replace("docs/", "")})`,
    "",
    `Result **${result} dB**${item.isMap ? " (a map of colours)" : ""}, unchanged ${unchanged}, colour fit ${fitted}.`,
    "",
    "```sh",
    `npx xprompt generate --example ${item.before} ${item.after} \\`,
    `  --input ${item.input} --seed ${SEED} --output ${item.name}.png`,
    "```",
    "",
  ];
}
