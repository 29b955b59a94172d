/** @file `x-prompt/web` in a page that a bundler made, beside the same model in Node. */
import { cp, mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import sharp from "sharp";
import { build } from "vite";
import { afterAll, expect, test } from "vitest";
import { type Image, loadImage, VisualPrompt, XPrompt } from "../../src/index.ts";
import type * as web from "../../src/web.ts";
import { example, launch } from "./kit.ts";
import { serveStatic } from "./static.ts";

declare global {
  var xprompt: typeof web;
  var loaded: web.XPrompt;
}

const root = join(import.meta.dirname, "..", "..");
const folder = await mkdtemp(join(tmpdir(), "xprompt-web-"));
await build({
  configFile: false,
  root: join(import.meta.dirname, "page"),
  base: "./",
  logLevel: "warn",
  resolve: { conditions: ["onnxruntime-web-use-extern-wasm", "module", "browser", "development|production"] },
  build: { outDir: folder, emptyOutDir: true, target: "es2023" },
});
await cp(join(root, "models"), join(folder, "models"), { recursive: true });
await mkdir(join(folder, "ort"));
for (const name of ["mjs", "wasm"].map((kind) => `ort-wasm-simd-threaded.${kind}`))
  await cp(createRequire(import.meta.url).resolve(`onnxruntime-web/${name}`), join(folder, "ort", name));
const isolating = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
};
const site = await serveStatic(folder, isolating);
const browser = await launch();
const model = await XPrompt.load("nano");
afterAll(async () => {
  await model.release();
  await browser.close();
  await site.close();
  await rm(folder, { recursive: true });
});

const paths = ["before", "after", "query-1"].map((name) => example(`seen/grayscale/${name}.png`));
/** What the model is shown, at its own size: decoded once, so that both see the same pixels. */
const pictures = (await Promise.all(paths.map((path) => loadImage(path, { size: model.size })))) as [
  Image,
  Image,
  Image,
];
const [before, after, query] = pictures;
const flat = pictures.map(({ width, height, data }) => ({ width, height, data: [...data] }));

async function openPage(): Promise<Page> {
  const page = await browser.newPage();
  await page.goto(site.address);
  await page.waitForFunction(() => "xprompt" in globalThis);
  await page.evaluate(async () => {
    const { env, XPrompt } = globalThis.xprompt;
    env.wasm.wasmPaths = new URL("ort/", document.baseURI).href;
    globalThis.loaded = await XPrompt.load("models/nano/");
  });
  return page;
}

const page = await openPage();

/** Greedy codes in the page, of a prompt's bytes; words; and the prompt that the page made itself. */
const inPage = (prompt: readonly number[]) =>
  page.evaluate(
    async ({ flat, prompt }) => {
      const { VisualPrompt } = globalThis.xprompt;
      const [before, after, query] = flat.map(({ data, ...size }) => ({
        ...size,
        data: Float32Array.from(data),
      }));
      const own = await globalThis.loaded.compress([{ input: before!, output: after! }]);
      const given = await VisualPrompt.fromBytes(Uint8Array.from(prompt));
      const { codes, model } = await globalThis.loaded.generate({
        prompt: given,
        input: query!,
        temperature: 0,
        seed: 1,
      });
      const words = await globalThis.loaded.describe({ input: before!, output: after! });
      return { codes: codes[0]!, words, model, own: [...(await own.toBytes())] };
    },
    { flat, prompt },
  );

test("greedy codes, words and prompts are those of Node", async () => {
  expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
  const prompt = await model.compress([{ input: before, output: after }]);
  const greedy = { input: query, temperature: 0, seed: 1 };
  const { codes } = await model.generate({ ...greedy, prompt });
  const made = await inPage([...(await prompt.toBytes())]);
  expect(made.model).toBe(model.fingerprint);
  expect(made.codes).toEqual(codes[0]);
  expect(made.words).toBe(await model.describe({ input: before, output: after }));
  // A prompt that was compressed in the page does the same in Node.
  const own = await VisualPrompt.fromBytes(Uint8Array.from(made.own));
  expect((await model.generate({ ...greedy, prompt: own })).codes).toEqual(codes);
});

test("random numbers are those of Node", async () => {
  const drawn = await page.evaluate(async (flat) => {
    const [before, after, query] = flat.map(({ data, ...size }) => ({
      ...size,
      data: Float32Array.from(data),
    }));
    const options = { examples: [{ input: before!, output: after! }], input: query!, seed: 7 };
    return (await globalThis.loaded.generate(options)).codes[0]!;
  }, flat);
  const { codes } = await model.generate({
    examples: [{ input: before, output: after }],
    input: query,
    seed: 7,
  });
  // Where two codes are nearly as likely, rounding may choose; all but a few are the same.
  expect(drawn.filter((code, i) => code !== codes[0]![i]).length).toBeLessThan(drawn.length / 4);
});

test("pictures are decoded and scaled as in Node, but for the resampling's rounding", async () => {
  const photo = await readFile(join(root, "test/fixtures/preprocess/photo.jpg"));
  const files = {
    drawing: await readFile(paths[2]!),
    scaled: await sharp(photo).resize(91, 130).png().toBuffer(),
    turned: await sharp(photo).resize(150, 90).withMetadata({ orientation: 6 }).jpeg().toBuffer(),
    transparent: await sharp(photo).resize(91, 130).ensureAlpha(0.4).png().toBuffer(),
  };
  for (const [name, bytes] of Object.entries(files)) {
    const shown = await page.evaluate(
      async (bytes) => {
        const { width, height, data } = await globalThis.xprompt.loadImage(Uint8Array.from(bytes), {
          size: 64,
        });
        return { width, height, data: [...data] };
      },
      [...bytes],
    );
    const expected = await loadImage(bytes, { size: 64 });
    const differences = shown.data.map((value, i) => 255 * Math.abs(value - expected.data[i]!));
    const mean = differences.reduce((sum, each) => sum + each, 0) / differences.length;
    expect({ name, width: shown.width, height: shown.height }).toEqual({ name, width: 64, height: 64 });
    expect(mean, name).toBeLessThan(2);
  }
});

test("what cannot be done is refused in words", async () => {
  const messageOf = (work: string) =>
    page.evaluate(async (name) => {
      const { VisualPrompt, XPrompt } = globalThis.xprompt;
      const tries: Record<string, () => Promise<unknown>> = {
        missing: () => XPrompt.load("models/none/"),
        cuda: () => XPrompt.load("models/nano/", { device: "cuda" }),
        path: () => VisualPrompt.load("some.xprompt"),
        broken: () => globalThis.loaded.describe({ input: new Uint8Array(9), output: new Uint8Array(9) }),
      };
      return tries[name]!().then(String, (error: Error) => `${error.name}: ${error.message}`);
    }, work);
  expect(await messageOf("missing")).toMatch(
    /^XPromptError: fetching .*config\.json: expected a file, got status 404/,
  );
  expect(await messageOf("cuda")).toMatch(/^XPromptError: device cuda: expected Node, got a browser/);
  expect(await messageOf("path")).toMatch(/^XPromptError: reading prompt some\.xprompt: expected bytes/);
  expect(await messageOf("broken")).toMatch(/^XPromptError: reading image .*: expected a PNG, JPEG or WebP/);
});
