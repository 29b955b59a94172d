/**
 * @file The tasks of this folder: an example pair and queries with their true answers. Pictures of scenes and icons are
 * files; the truth for a photograph is computed, because its change is known.
 */
import { readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { type Image, loadImage, resize } from "x-prompt";
import { type PhotoPair, photoChanges } from "../src/evaluation/gathered/photo-changes.ts";
import { Random } from "../src/random.ts";

/** Each group has its own means in the demo. */
export const groups = {
  scenes: "scenes",
  scenesUnseen: "scenes, tasks never seen",
  photographs: "photographs",
  icons: "icons",
} as const;
export type Group = keyof typeof groups;

export interface Query {
  /** Path of the picture. */
  readonly input: string;
  readonly truth: () => Promise<Image>;
}

export interface ExampleTask {
  readonly name: string;
  readonly group: Group;
  /** Whether training never showed the change. */
  readonly unseen: boolean;
  /** Paths of the example pair. */
  readonly before: string;
  readonly after: string;
  readonly queries: readonly Query[];
}

/** Folders with `before.png`, `after.png`, `query-1.png`, `truth-1.png` and so on, one folder for each task. */
const folders = [
  { folder: "examples/seen", group: "scenes", unseen: false },
  { folder: "examples/unseen", group: "scenesUnseen", unseen: true },
  { folder: "examples/icons/seen", group: "icons", unseen: false },
  { folder: "examples/icons/unseen", group: "icons", unseen: true },
] as const;

/** Numbers of a folder's queries. */
export const QUERIES = [1, 2, 3];

/** All tasks, in the order of the groups. Paths are relative to the project's folder. */
export async function exampleTasks(): Promise<ExampleTask[]> {
  const read = await Promise.all(folders.map(tasksOf));
  const tasks = [...read.flat(), ...photographTasks()];
  return Object.keys(groups).flatMap((group) => tasks.filter((task) => task.group === group));
}

async function tasksOf({ folder, group, unseen }: (typeof folders)[number]): Promise<ExampleTask[]> {
  return (await readdir(folder)).sort().map((name) => {
    const path = (file: string) => join(folder, name, `${file}.png`);
    const queries = QUERIES.map((i) => ({
      input: path(`query-${i}`),
      truth: () => loadImage(path(`truth-${i}`)),
    }));
    return { name, group, unseen, before: path("before"), after: path("after"), queries };
  });
}

const photos = "examples/photos";
const photograph = (name: string) => join(photos, `${name}.jpg`);
/** The photograph of the example pairs, and those of the queries. */
const shown = photograph("bridge");
const asked = ["fruits", "bee"].map(photograph);

/** The change that training never showed. */
const neverShown = "derain";
/** Names of `photoChanges`. */
const changes = ["darken", "invert", "sepia", "grade", "vignette", "blur", "sketch", "mirror", neverShown];

function photographTasks(): ExampleTask[] {
  return changes.map((name) => {
    const [before, after] = pairOf(name, shown);
    const queries = asked.map((path) => ({
      input: pairOf(name, path)[0],
      truth: async () => (await changed(name, path)).output,
    }));
    return { name, group: "photographs", unseen: name === neverShown, before, after, queries };
  });
}

/** Paths of a photograph's two pictures. One of them is the photograph itself: restorations end with it. */
function pairOf(name: string, path: string): readonly [string, string] {
  const other = changedPath(name, path);
  return changeNamed(name).restores ? [other, path] : [path, other];
}

const changedPath = (name: string, path: string) =>
  join(photos, "changed", `${basename(path, ".jpg")}-${name}.jpg`);

/** The changed photographs that the tasks need as files: of each example pair, and the queries of restorations. */
export async function changedPhotographs(): Promise<{ readonly path: string; readonly image: Image }[]> {
  const needed = changes.flatMap((name) =>
    (changeNamed(name).restores ? [shown, ...asked] : [shown]).map((path) => ({ name, path })),
  );
  return Promise.all(
    needed.map(async ({ name, path }) => {
      const { input, output } = await changed(name, path);
      return { path: changedPath(name, path), image: changeNamed(name).restores ? input : output };
    }),
  );
}

const changeNamed = (name: string) => photoChanges.find((change) => change.name === name)!;

async function changed(name: string, path: string): Promise<PhotoPair> {
  const { restores, draw } = changeNamed(name);
  const image = await loadImage(path);
  return draw(Random.of("gallery", name))(
    restores ? withLongerSide(image, STORED) : image,
    Random.of("gallery", name, path),
  );
}

/** Pixels along the longer side of the files of restorations, which keeps them small. */
const STORED = 320;

/** The whole picture, scaled so that its longer side has this many pixels. */
export function withLongerSide(image: Image, pixels: number): Image {
  const scale = pixels / Math.max(image.width, image.height);
  return resize(image, Math.round(image.width * scale), Math.round(image.height * scale), "area");
}
