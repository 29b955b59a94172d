/** @file The studio as a static folder, without a server behind it: the model runs in the page. */
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Page } from "playwright-core";
import { afterAll, expect, test } from "vitest";
import {
  type Image,
  loadImage,
  readPngText,
  savePng,
  toBytes,
  VisualPrompt,
  XPrompt,
} from "../../src/index.ts";
import {
  announcedRows,
  draw,
  drop,
  example,
  insecureHost,
  launch,
  nanoCodeByCode,
  recommendCodeByCode,
  watchRows,
} from "./kit.ts";
import { serveStatic } from "./static.ts";

const folder = await mkdtemp(join(tmpdir(), "xprompt-site-"));
const built = join(import.meta.dirname, "..", "..", "dist", "site");
const browser = await launch();
const model = await XPrompt.load("nano");
afterAll(async () => {
  await model.release();
  await browser.close();
  await rm(folder, { recursive: true });
});

/** Pictures of the model's own size: both sides then see the same pixels. */
const names = ["before", "after", "query-1"];
const paths = names.map((name) => join(folder, `${name}.png`));
const pictures: Image[] = [];
for (const [i, name] of names.entries()) {
  const picture = await loadImage(example(`seen/grayscale/${name}.png`), { size: model.size });
  pictures.push(picture);
  await savePng(paths[i]!, picture);
}
const [before, after, input] = pictures as [Image, Image, Image];

const button = (page: Page, name: string) => page.getByRole("button", { name, exact: true });

/** A browser that has never seen the site. */
async function open(address: string): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1360, height: 900 } });
  const page = await context.newPage();
  await page.goto(address);
  await page.getByText("model nano").waitFor();
  return page;
}

async function saved(page: Page, name: string): Promise<string> {
  const [download] = await Promise.all([page.waitForEvent("download"), button(page, name).click()]);
  const path = join(folder, download.suggestedFilename());
  await download.saveAs(path);
  return path;
}

/** The board with the pair, the query, temperature 0 and the model's own size. */
async function setUp(page: Page): Promise<void> {
  await drop(page, "main", paths);
  await page.getByRole("img", { name: /^Your picture: / }).waitFor();
  await page.locator("summary").click();
  await page.getByLabel("Temperature").fill("0");
  await page.getByLabel("Full size").uncheck();
}

test("draws what Node draws, row by row, and goes on without a network", async () => {
  const copy = join(folder, "code-by-code");
  await cp(built, copy, { recursive: true });
  await recommendCodeByCode(join(copy, "models", "nano", "config.json"));
  const site = await serveStatic(copy);
  await using model = await XPrompt.load(await nanoCodeByCode(folder));
  const page = await open(site.address);
  // The host sends no headers for it: the service worker does.
  expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
  expect(await page.getByRole("link", { name: "Training" }).count()).toBe(0);

  await setUp(page);
  await watchRows(page);
  await draw(page);
  const rows = await announcedRows(page);
  expect(rows.length).toBeGreaterThan(2);
  expect(rows.at(-1)).toMatch(/of 16$/);

  const path = await saved(page, "Download");
  const drawn = await loadImage(path);
  const { images, codes } = await model.generate({
    ...{ examples: [{ input: before, output: after }], input, temperature: 0, seed: 1 },
  });
  const differences = toBytes(drawn).map((value, i) => Math.abs(value - toBytes(images[0])[i]!));
  expect(Math.max(...differences)).toBeLessThanOrEqual(1);
  const settings = JSON.parse((await readPngText(path)).xprompt!);
  expect(settings).toMatchObject({ seed: 1, model: "nano", fingerprint: model.fingerprint, temperature: 0 });

  const prompt = await VisualPrompt.load(await saved(page, "Save"));
  const again = await model.generate({ prompt, input, temperature: 0, seed: 1 });
  expect(again.codes).toEqual(codes);

  // The weights are had once; then the server goes away.
  await page.reload();
  await page.getByText("model nano").waitFor();
  await setUp(page);
  await draw(page);
  expect(site.asked.filter((asked) => asked.endsWith(".safetensors"))).toHaveLength(1);
  await site.close();
  await page.reload();
  await page.getByRole("link", { name: "History" }).click();
  expect(await page.getByRole("main").getByRole("button", { name: /seed/ }).count()).toBe(2);
  await page.getByRole("link", { name: "Draw" }).click();
  await setUp(page);
  await draw(page);
  expect(toBytes(await loadImage(await saved(page, "Download")))).toEqual(toBytes(drawn));
  await button(page, "Describe").click();
  await button(page, "Use these words").click({ timeout: 100_000 });
  const words = await model.describe({ input: before, output: after });
  expect(await page.getByLabel("In words").inputValue()).toBe(words);
  await page.context().close();
});

test("the page has at most 200 kB of script, and with the worker's as much when it is packed", async () => {
  const read = (name: string) => readFile(join(built, name));
  const [page, worker] = await Promise.all(["index.js", "worker.js"].map(read));
  expect(page!.length).toBeLessThanOrEqual(200_000);
  expect(gzipSync(page!).length + gzipSync(worker!).length).toBeLessThanOrEqual(200_000);
});

test("weights that were damaged in the cache are fetched again", async () => {
  const site = await serveStatic(built);
  const page = await open(site.address);
  await setUp(page);
  await draw(page);
  const damaged = await page.evaluate(async () => {
    const cache = await caches.open("xprompt-models");
    const keys = (await cache.keys()).filter(({ url }) => url.includes("sha256="));
    for (const key of keys) await cache.put(key, new Response(new Uint8Array(100)));
    return keys.length;
  });
  expect(damaged).toBe(1);
  await page.reload();
  await setUp(page);
  await draw(page);
  expect(site.asked.filter((asked) => asked.endsWith(".safetensors"))).toHaveLength(2);
  await page.context().close();
  await site.close();
});

test("a new version of the site replaces the one that is kept", async () => {
  const copy = join(folder, "site");
  await cp(built, copy, { recursive: true });
  const site = await serveStatic(copy);
  const page = await open(site.address);
  await page.getByRole("heading", { name: "Changes to try" }).waitFor();
  const worker = await readFile(join(copy, "sw.js"), "utf8");
  await writeFile(join(copy, "gallery.json"), "[]");
  // The service worker is looked for at any time: it comes last.
  await writeFile(join(copy, "sw.js"), worker.replace(/VERSION = "\w+"/, 'VERSION = "next"'));
  await page.reload();
  await page.getByRole("heading", { name: "Changes to try" }).waitFor();
  const kept = () =>
    page.evaluate(async () => {
      const names = (await caches.keys()).filter((name) => name.startsWith("xprompt-site"));
      return [...names, (await navigator.serviceWorker.getRegistration())?.active?.state];
    });
  await expect.poll(kept, { timeout: 60_000 }).toEqual(["xprompt-site next", "activated"]);
  await page.reload();
  await page.getByText("model nano").waitFor();
  await page.waitForLoadState("networkidle");
  expect(await page.getByRole("heading", { name: "Changes to try" }).count()).toBe(0);
  await page.context().close();
  await site.close();
});

test("on plain HTTP, without a service worker, it draws in one thread; a prompt and several samples; stops; says what is wrong", async () => {
  const site = await serveStatic(built);
  const page = await open(site.address.replace("127.0.0.1", insecureHost));
  expect(await page.evaluate(() => crossOriginIsolated)).toBe(false);
  const prompt = join(folder, "made.xprompt");
  await (await model.compress([{ input: before, output: after }])).save(prompt);
  await drop(page, "main", [prompt, paths[2]!]);
  await page.getByText("1 example, compiled").waitFor({ timeout: 60_000 });
  await page.getByText("2", { exact: true }).click();
  await draw(page);
  await page.getByRole("button", { name: /^Open result 2, seed 2/ }).waitFor();
  await button(page, "Draw").click();
  await button(page, "Stop").click();
  await page.getByText("appears here, row by row").waitFor();
  await page.getByRole("link", { name: "All 1", exact: true }).waitFor();
  const wrong = await page.evaluateHandle(() => {
    const transfer = new DataTransfer();
    transfer.items.add(new File(["something else"], "wrong.xprompt"));
    return transfer;
  });
  await page.dispatchEvent("main", "drop", { dataTransfer: wrong });
  const region = page.getByRole("region", { name: "The change" });
  await region
    .getByRole("alert")
    .getByText(/prompt/)
    .waitFor();
  await page.context().close();
  await site.close();
});
