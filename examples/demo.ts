/**
 * What xprompt is for, in one run: for each task of this folder the model is shown one before → after pair and does
 * the same to other pictures. Prints how far what it draws is from the truth, with the right example, with another
 * task's, and without any; writes a contact sheet.
 *
 *     npm run demo
 */
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { contactSheet, type Image, loadImage, savePng, type VisualPrompt, XPrompt } from "x-prompt";

const SEED = 1;
const OUT = "demo";

interface Task {
  readonly name: string;
  readonly unseen: boolean;
  readonly example: { readonly input: Image; readonly output: Image };
  readonly queries: readonly { readonly input: Image; readonly truth: Image }[];
}

const model = await XPrompt.load("nano");
const tasks = [...(await readTasks("seen")), ...(await readTasks("unseen"))];
const prompts = new Map<Task, VisualPrompt>();
for (const task of tasks) prompts.set(task, await model.compress([task.example]));

console.log(`model nano ${model.fingerprint}, seed ${SEED}, ${tasks[0]!.queries.length} pictures a task`);
console.log("root mean square distance to the truth (0 is equal, 1 is black against white)\n");
console.log(row("task", ["with example", "wrong example", "no example", "tokenizer"]));
const rows = [];
const totals = new Map<boolean, number[][]>([
  [false, []],
  [true, []],
]);
for (const [i, task] of tasks.entries()) {
  const wrong = tasks[(i + Math.floor(tasks.length / 2)) % tasks.length]!;
  const [right, misled, alone] = [
    await draw(task, prompts.get(task)),
    await draw(task, prompts.get(wrong)),
    await draw(task),
  ];
  const copies = await model.reconstruct(task.queries.map(({ truth }) => truth));
  const distances = [right, misled, alone, copies].map((drawn) =>
    mean(drawn.map((image, j) => distance(image, task.queries[j]!.truth))),
  );
  totals.get(task.unseen)!.push(distances);
  const label = task.unseen ? `${task.name} (never seen)` : task.name;
  console.log(
    row(
      label,
      distances.map((value) => value.toFixed(3)),
    ),
  );
  const [{ input, truth }] = task.queries as [Task["queries"][number]];
  const cells = [task.example.input, task.example.output, input, right[0]!, truth, misled[0]!, alone[0]!];
  rows.push({ label, cells: cells.map((image) => ({ image })) });
}
for (const [unseen, distances] of totals) {
  const means = distances[0]!.map((_, i) => mean(distances.map((values) => values[i]!)));
  console.log(
    row(
      unseen ? "mean, never seen" : "mean, seen",
      means.map((value) => value.toFixed(3)),
    ),
  );
}

await mkdir(OUT, { recursive: true });
const columnTitles = ["before", "after", "your picture", "drawn", "truth", "wrong example", "no example"];
await savePng(
  join(OUT, "sheet.png"),
  contactSheet(rows, { title: "xprompt: do it like in this example", columnTitles, scale: 2 }),
);
console.log(`\nwrote ${join(OUT, "sheet.png")}`);
await model.release();

async function draw({ queries }: Task, prompt?: VisualPrompt): Promise<Image[]> {
  const drawn: Image[] = [];
  for (const { input } of queries)
    drawn.push((await model.generate({ prompt, input, seed: SEED })).images[0]!);
  return drawn;
}

async function readTasks(part: "seen" | "unseen"): Promise<Task[]> {
  const folder = join(import.meta.dirname, part);
  const names = (await readdir(folder)).sort();
  return Promise.all(
    names.map(async (name) => {
      const load = (file: string) => loadImage(join(folder, name, `${file}.png`), { size: model.size });
      const queries = [1, 2, 3].map(async (i) => ({
        input: await load(`query-${i}`),
        truth: await load(`truth-${i}`),
      }));
      const example = { input: await load("before"), output: await load("after") };
      return { name, unseen: part === "unseen", example, queries: await Promise.all(queries) };
    }),
  );
}

function distance(a: Image, b: Image): number {
  return Math.sqrt(mean(Array.from(a.data, (value, i) => (value - b.data[i]!) ** 2)));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function row(label: string, values: readonly string[]): string {
  return label.padEnd(36) + values.map((value) => value.padStart(15)).join("");
}
