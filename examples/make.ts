/**
 * Makes the pictures of this folder anew: for each task an example pair, and queries with the true answers.
 *
 *     npx tsx examples/make.ts                      # scenes and changed photographs
 *     npx tsx examples/make.ts --pictures gathered  # icons as well, out of what `npm run gather` wrote
 */
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { editablesOf, editorOf } from "../src/evaluation/gathered/icon-tasks.ts";
import { iconPicture, openHeldOut } from "../src/evaluation/gathered/pictures.ts";
import { rmse } from "../src/evaluation/metrics/pictures.ts";
import { type Image, saveImage, savePng } from "../src/image/index.ts";
import type { IconSet } from "../src/tasks/gathered/index.ts";
import { familyNamed, Random } from "../src/tasks/index.ts";
import { changedPhotographs, QUERIES } from "./tasks.ts";

interface Pair {
  readonly input: Image;
  readonly output: Image;
}

/** Tasks of families that nano was trained on (with other parameters and scenes), and of families it never saw. */
const scenes = {
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

for (const [part, names] of Object.entries(scenes))
  for (const name of names) {
    const random = Random.of("examples", name);
    const task = familyNamed(name).draw(random);
    await write(join(part, name), () => task.pair(random, SIZE));
  }

const about = { Software: "xprompt", xprompt: "made by examples/make.ts" };
for (const { path, image } of await changedPhotographs()) {
  await mkdir(dirname(path), { recursive: true });
  await saveImage(path, image, { text: about });
}

const { pictures } = parseArgs({ options: { pictures: { type: "string" } } }).values;
if (pictures !== undefined) await writeIcons(pictures);

/** Pairs of icon sets; all names are held out of training, and the pair of sets as well under "unseen". */
async function writeIcons(folder: string): Promise<void> {
  const size = 64;
  const sets = new Map(openHeldOut(folder).iconSets.map((set) => [set.name, set]));
  const styles = {
    "seen/lineToSolid": ["icons-mingcute-line", "icons-mingcute-fill"],
    "seen/lineToColour": ["icons-openmoji-black", "icons-openmoji"],
    "unseen/flatToLine": ["icons-twemoji", "icons-openmoji-black"],
  };
  for (const [name, [from, to]] of Object.entries(styles)) {
    const [before, after] = [sets.get(from!)!, sets.get(to!)!];
    const picture = (set: IconSet, icon: string) => iconPicture(set.icons.get(icon)!.layers(), size);
    const shared = [...before.icons.keys()].filter((icon) => after.icons.has(icon)).sort();
    const pairs = Random.of("examples", name)
      .shuffle(shared)
      .map((icon) => ({ input: picture(before, icon), output: picture(after, icon) }))
      .filter(isStriking)
      .values();
    await write(join("icons", name), () => pairs.next().value!);
  }
  const random = Random.of("examples", "recolour");
  const editables = editablesOf([sets.get("icons-noto")!], random)
    .filter(({ icons }) => icons.length > QUERIES.length)
    .map((editable) => ({ draw: editorOf("recolour", editable, random, size), icons: editable.icons }));
  const { draw, icons } = random.pick(
    editables.filter((each) => each.icons.map(each.draw).every(isStriking)),
  );
  const chosen = random.shuffle(icons).values();
  await write("icons/seen/recolour", () => draw(chosen.next().value!));
}

/** Whether the change can be seen at a glance. */
function isStriking({ input, output }: Pair): boolean {
  return rmse(input, output) > 0.12;
}

/** Writes a task's folder: an example pair and the queries with their truths, each a new pair. */
async function write(folder: string, draw: () => Pair): Promise<void> {
  const path = join(import.meta.dirname, folder);
  await mkdir(path, { recursive: true });
  const save = async ({ input, output }: Pair, names: readonly [string, string]) => {
    await savePng(join(path, `${names[0]}.png`), input);
    await savePng(join(path, `${names[1]}.png`), output);
  };
  await save(draw(), ["before", "after"]);
  for (const i of QUERIES) await save(draw(), [`query-${i}`, `truth-${i}`]);
}
