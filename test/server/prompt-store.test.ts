/** @file Stored prompts: files and memory stay the same, whatever fails, and after a restart. */
import { mkdir, readdir, rename, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { XPromptError } from "../../src/errors.ts";
import { PromptStore } from "../../src/server/prompt-store.ts";
import { VisualPrompt } from "../../src/xprompt/prompt.ts";
import { dataUrl, startServer, tinyEngine } from "./kit.ts";

const { engine, folder } = await tinyEngine();

const promptOf = (value: number) => {
  const layer = { keys: Float32Array.of(value), values: Float32Array.of(value) };
  return VisualPrompt.of("a model", [{ length: 1, heads: 1, layers: [layer] }]);
};

async function emptyFolder(name: string): Promise<string> {
  const path = join(folder, name);
  await mkdir(path);
  return path;
}

test("what the disk refuses is logged, told without paths, and written when it is sent again", async () => {
  const prompts = await emptyFolder("refused");
  const server = await startServer(engine, { prompts });
  const examples = [{ input: await dataUrl("before"), output: await dataUrl("after") }];
  await rm(prompts, { recursive: true });
  const refused = await server.post("/v1/xprompts", { examples });
  expect(refused.status).toBe(500);
  expect(await refused.text()).not.toContain(folder);
  expect(server.lines).toContainEqual(expect.objectContaining({ trace: expect.stringContaining(prompts) }));
  expect(server.services.prompts.list()).toEqual([]);
  await mkdir(prompts);
  const written = await server.post("/v1/xprompts", { examples });
  const { id } = (await written.json()) as { id: string };
  expect((await readdir(prompts)).sort()).toEqual([`${id}.json`, `${id}.xprompt`]);
});

test("a prompt that is added twice at once is written once", async () => {
  const store = await PromptStore.open(await emptyFolder("twice"));
  const [first, second] = await Promise.all([store.add(promptOf(1), "a"), store.add(promptOf(1), "b")]);
  expect(second).toEqual(first);
  expect(store.list()).toEqual([first]);
});

test("a prompt that is deleted while it is written leaves no file", async () => {
  const prompts = await emptyFolder("deleted");
  const { id } = await (await PromptStore.open()).add(promptOf(2));
  const store = await PromptStore.open(prompts);
  const adding = store.add(promptOf(2));
  const deleted = () =>
    store.delete(id).then(
      () => true,
      () => false,
    );
  while (!(await deleted())) await new Promise((resolve) => setImmediate(resolve));
  await adding;
  expect(await readdir(prompts)).toEqual([]);
  expect(store.list()).toEqual([]);
});

test("after a restart the newest prompt is last", async () => {
  const prompts = await emptyFolder("order");
  const store = await PromptStore.open(prompts);
  const ids = [];
  for (const value of [1, 2, 3, 4]) ids.push((await store.add(promptOf(value))).id);
  // Against the order of the names.
  const sorted = ids.toSorted().reverse();
  for (const [i, id] of sorted.entries())
    await writeFile(join(prompts, `${id}.json`), JSON.stringify({ name: "", created: 1000 + i }));
  const again = await PromptStore.open(prompts);
  expect(again.list().map(({ id }) => id)).toEqual(sorted);
});

test("a damaged file is refused by its path", async () => {
  const prompts = await emptyFolder("damaged");
  const { id } = await (await PromptStore.open(prompts)).add(promptOf(1));
  const path = join(prompts, `${id}.xprompt`);
  await truncate(path, 100);
  const opening = PromptStore.open(prompts);
  await expect(opening).rejects.toThrow(XPromptError);
  await expect(opening).rejects.toThrow(path);
});

test("a folder with more bytes than there is room for is refused before they are read", async () => {
  const prompts = await emptyFolder("large");
  const { id } = await (await PromptStore.open(prompts)).add(promptOf(1));
  const large = join(prompts, "xp_000000000000000000000000.xprompt");
  await rename(join(prompts, `${id}.xprompt`), large);
  await truncate(large, 2 ** 28 + 1);
  await expect(PromptStore.open(prompts)).rejects.toThrow(/expected at most 10000 prompts of 256.0 MiB/);
});
