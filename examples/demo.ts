/**
 * What xprompt is for, in one run: for each task of this folder the model is shown one before → after pair and does
 * the same to other pictures. Prints how far what it draws is from the truth, with the right example, with another
 * task's, and with the query alone, and how far the result at full size is, beside what costs nothing: the query
 * unchanged, a colour fit of the example, and a classical filter where the task restores something. Writes a contact
 * sheet.
 *
 *     npm run demo
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import {
  contactSheet,
  encodePng,
  fromBytes,
  type Image,
  loadImage,
  savePng,
  type VisualPrompt,
  XPrompt,
} from "x-prompt";
import { classicalFilter, colourFit } from "../src/evaluation/baselines/index.ts";
import { percent } from "../src/evaluation/lines.ts";
import { mean } from "../src/evaluation/metrics/bootstrap.ts";
import { rmse } from "../src/evaluation/metrics/pictures.ts";
import { shareBetter } from "../src/evaluation/summary.ts";
import { type ExampleTask, exampleTasks, type Group, groups } from "./tasks.ts";

const SEED = 1;
const OUT = "demo";

/** A task with its pictures at the model's size. */
interface Task extends Pick<ExampleTask, "name" | "group" | "unseen"> {
  readonly example: { readonly input: Image; readonly output: Image };
  readonly queries: readonly { readonly path: string; readonly input: Image; readonly truth: Image }[];
}

const model = await XPrompt.load("nano");
const tasks = await Promise.all((await exampleTasks()).map(read));
const prompts = new Map<Task, VisualPrompt>();
for (const task of tasks) prompts.set(task, await model.compress([task.example]));

console.log(
  `model nano ${model.fingerprint}, seed ${SEED}, ${tasks.flatMap(({ queries }) => queries).length} pictures`,
);
console.log("root mean square distance to the truth (0 is equal, 1 is black against white)\n");
const columns = [
  "drawn",
  "full size",
  "wrong example",
  "query alone",
  "unchanged",
  "colour fit",
  "filter",
  "round trip",
];
console.log(row("task", columns));
const rows = [];
/** Distances of every picture, by column. */
const totals = Object.fromEntries(
  Object.keys(groups).map((group) => [group, columns.map(() => [] as number[])]),
) as Record<Group, number[][]>;
for (const [i, task] of tasks.entries()) {
  const wrong = tasks[(i + Math.floor(tasks.length / 2)) % tasks.length]!;
  const [right, misled, alone] = [
    await draw(task, prompts.get(task)),
    await draw(task, prompts.get(wrong)),
    await draw(task),
  ];
  const fullSize = await drawFullSize(task, prompts.get(task)!);
  const copies = await model.reconstruct(task.queries.map(({ truth }) => truth));
  const queries = task.queries.map(({ input }) => input);
  const fitted = queries.map((query) => colourFit([task.example], query));
  const filter = classicalFilter(task.name);
  const filtered = filter ? await Promise.all(queries.map((query) => filter.apply(query))) : [];
  const distances = [right, fullSize, misled, alone, queries, fitted, filtered, copies].map((pictures) =>
    pictures.map((image, j) => rmse(image, task.queries[j]!.truth)),
  );
  for (const [column, values] of distances.entries()) totals[task.group][column]!.push(...values);
  const label = task.unseen ? `${task.name} (never seen)` : task.name;
  console.log(row(label, distances.map(meanOf)));
  const [{ input, truth }] = task.queries as [Task["queries"][number]];
  const cells = [
    task.example.input,
    task.example.output,
    input,
    right[0]!,
    fullSize[0]!,
    truth,
    misled[0]!,
    alone[0]!,
    fitted[0]!,
  ];
  rows.push({ label, cells: cells.map((image) => ({ image })) });
}
for (const group of Object.keys(groups) as Group[]) {
  const distances = totals[group];
  const [right, fullSize, , , unchanged, fitted] = distances as [number[], ...number[][]];
  // Filters are of some tasks alone: their mean would be over other pictures.
  const means = distances.map((values) => (values.length === right.length ? meanOf(values) : "–"));
  console.log(row(`mean, ${groups[group]}`, means));
  for (const [way, values] of [
    ["with the example", right],
    ["at full size", fullSize!],
  ] as const)
    console.log(
      `  nearer to the truth ${way} than unchanged: ${percent(shareBetter(values, unchanged!))} of ${values.length} pictures; ` +
        `than the colour fit: ${percent(shareBetter(values, fitted!))}`,
    );
}

await mkdir(OUT, { recursive: true });
const columnTitles = [
  "before",
  "after",
  "your picture",
  "drawn",
  "full size",
  "truth",
  "wrong example",
  "query alone",
  "colour fit",
];
await savePng(
  join(OUT, "sheet.png"),
  contactSheet(rows, { title: "xprompt: do it like in this example", columnTitles, scale: 2 }),
);
console.log(`\nwrote ${join(OUT, "sheet.png")}`);
await model.release();

async function draw({ queries }: Task, prompt?: VisualPrompt): Promise<Image[]> {
  const drawn: Image[] = [];
  for (const { input } of queries)
    drawn.push((await model.generate({ prompt, input, seed: SEED })).images[0]);
  return drawn;
}

/** What a user gets: results at the size of the picture. They are measured like the others, at the model's size. */
async function drawFullSize({ queries }: Task, prompt: VisualPrompt): Promise<Image[]> {
  const results: Image[] = [];
  for (const { path } of queries) {
    const { images } = await model.generate({ prompt, input: path, fullSize: true, seed: SEED });
    const { width, height, data } = images[0];
    results.push(await square(fromBytes(width, height, data)));
  }
  return results;
}

async function read({ name, group, unseen, before, after, queries }: ExampleTask): Promise<Task> {
  const load = (path: string) => loadImage(path, { size: model.size });
  return {
    ...{ name, group, unseen },
    example: { input: await load(before), output: await load(after) },
    queries: await Promise.all(
      queries.map(async ({ input, truth }) => ({
        path: input,
        input: await load(input),
        truth: await square(await truth()),
      })),
    ),
  };
}

/** The central square at the model's size, as for pictures from files. */
async function square(image: Image): Promise<Image> {
  return loadImage(await encodePng(image), { size: model.size });
}

function meanOf(values: readonly number[]): string {
  return values.length > 0 ? mean(values).toFixed(3) : "–";
}

function row(label: string, values: readonly string[]): string {
  return label.padEnd(36) + values.map((value) => value.padStart(15)).join("");
}
