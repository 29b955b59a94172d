/** @file The studio as a person has it: `xprompt serve` with nano, code by code, and a browser before it. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { afterAll, afterEach, expect } from "vitest";
import { XPrompt } from "../../src/index.ts";
import { ExampleLibrary, modelEmbedder } from "../../src/retrieval/index.ts";

const root = join(import.meta.dirname, "..", "..");
/** A picture of `examples/`. */
export const example = (name: string): string => join(root, "examples", name);

const browserPath =
  process.env.CHROMIUM ?? ["/usr/bin/chromium", "/usr/bin/google-chrome"].find((path) => existsSync(path));

export interface Studio {
  /** Opens the page in a browser that has never seen it. Errors of its scripts fail the test. */
  open(options?: BrowserContextOptions, hash?: string): Promise<Page>;
  /** A folder that is removed after the tests. */
  readonly folder: string;
}

/** A name of this machine under which pages are not secure contexts, as localhost is. */
export const insecureHost = "plain.test";

/** Starts Chromium. */
export async function launch(): Promise<Browser> {
  if (!browserPath)
    throw new Error(
      "starting the browser: expected Chromium in /usr/bin (apt-get install chromium), or its path in CHROMIUM",
    );
  return chromium.launch({
    executablePath: browserPath,
    args: ["--no-sandbox", `--host-resolver-rules=MAP ${insecureHost} 127.0.0.1`],
  });
}

/** A library of two examples, and a run folder, are on the server. */
export async function startStudio(): Promise<Studio> {
  const folder = await mkdtemp(join(tmpdir(), "xprompt-studio-"));
  await makeLibrary(join(folder, "library"));
  await makeRun(join(folder, "runs", "pairs"));
  const nano = await nanoCodeByCode(folder);
  const { server, address } = await serve(nano, [
    ...["--library", `demo=${join(folder, "library")}`],
    ...["--runs", join(folder, "runs")],
  ]);
  const browser = await launch();
  const errors: Error[] = [];
  afterEach(async () => {
    for (const context of browser.contexts()) await context.close();
    expect(errors.splice(0)).toEqual([]);
  });
  afterAll(async () => {
    await browser.close();
    server.kill();
    await rm(folder, { recursive: true });
  });
  return { folder, open: (options, hash = "") => open(browser, address + hash, errors, options) };
}

async function open(
  browser: Browser,
  address: string,
  errors: Error[],
  options: BrowserContextOptions = {},
): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1360, height: 900 }, ...options });
  const page = await context.newPage();
  page.on("pageerror", (error) => errors.push(error));
  await page.goto(address);
  return page;
}

async function serve(
  model: string,
  options: readonly string[],
): Promise<{ server: ChildProcess; address: string }> {
  const command = [
    join(root, "bin", "xprompt.js"),
    "serve",
    "--model",
    model,
    "--port",
    "0",
    "--quiet",
    ...options,
  ];
  const server = spawn(process.execPath, command, { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  const address = await new Promise<string>((resolve, reject) => {
    for (const stream of [server.stdout, server.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => {
        said += text;
        const [found] = /http:\/\/127\.0\.0\.1:\d+/.exec(said) ?? [];
        if (found) resolve(`${found}/`);
      });
    server.once("exit", () => reject(new Error(`starting the server: expected its address, got ${said}`)));
  });
  return { server, address };
}

/**
 * A copy of nano in a folder, which recommends to sample code by code: pictures then come row by row.
 * @returns the path of the copy
 */
export async function nanoCodeByCode(folder: string): Promise<string> {
  const path = join(folder, "nano");
  await cp(join(root, "models", "nano"), path, { recursive: true });
  await recommendCodeByCode(join(path, "config.json"));
  return path;
}

/** Waits for the end of a drawing. */
export const drawn = (page: Page): Promise<void> =>
  page.getByRole("button", { name: "Draw", exact: true }).waitFor({ timeout: 100_000 });

export async function draw(page: Page): Promise<void> {
  const button = (name: string) => page.getByRole("button", { name, exact: true });
  await Promise.all([button("Stop").waitFor(), button("Draw").click()]);
  await drawn(page);
}

/** Rewrites the `config.json` of a model that recommends one pass. */
export async function recommendCodeByCode(path: string): Promise<void> {
  const config = JSON.parse(await readFile(path, "utf8"));
  Object.assign(config.xprompt.sampling, { one_pass: false, expected: false });
  await writeFile(path, JSON.stringify(config));
}

async function makeLibrary(place: string): Promise<void> {
  const model = await XPrompt.load("nano");
  const library = await ExampleLibrary.open(place, { create: true });
  const pair = (name: string) => ({
    input: example(`${name}/before.png`),
    output: example(`${name}/after.png`),
  });
  await library.add(
    [
      { ...pair("seen/dehaze"), instruction: "take the haze away" },
      { ...pair("seen/grayscale"), instruction: "make it black and white" },
    ],
    modelEmbedder(model),
  );
  await library.close();
  await model.release();
}

/** A run folder as `xprompt train` writes it, half done. */
async function makeRun(folder: string): Promise<void> {
  await mkdir(join(folder, "sheets"), { recursive: true });
  await cp(example("unseen/derain/after.png"), join(folder, "sheets", "step-000200.png"));
  await writeFile(join(folder, "recipe.json"), JSON.stringify({ kind: "transformer", seed: 1, steps: 400 }));
  const lines = Array.from({ length: 20 }, (_, i) => ({
    ...{ step: 10 * (i + 1), time: 1_796_000_000 + 10 * i, loss: 5 / (i + 1), tokensPerSecond: 2900 },
    ...(i === 19 && { "heldOut.seen.right": 1.375, "heldOut.seen.wrong": 2.18 }),
  }));
  await writeFile(join(folder, "metrics.jsonl"), lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
}

/** Drops files on an element, as from a file manager. */
export async function drop(page: Page, selector: string, paths: readonly string[]): Promise<void> {
  const files = await Promise.all(
    paths.map(async (path) => ({
      name: path.split("/").slice(-2).join("-"),
      bytes: (await readFile(path)).toString("base64"),
      type: path.endsWith(".png") ? "image/png" : "",
    })),
  );
  const data = await page.evaluateHandle((dropped) => {
    const transfer = new DataTransfer();
    for (const { name, bytes, type } of dropped) {
      const content = Uint8Array.from(atob(bytes), (letter) => letter.charCodeAt(0));
      transfer.items.add(new File([content], name, { type }));
    }
    return transfer;
  }, files);
  await page.dispatchEvent(selector, "drop", { dataTransfer: data });
}

/** Notes the rows that the page announces from now on while it draws. */
export async function watchRows(page: Page): Promise<void> {
  await page.evaluate(() => {
    const rows: string[] = [];
    Object.assign(globalThis, { rows });
    new MutationObserver(() => {
      const [row] = /row \d+ of \d+/.exec(document.querySelector("[role=status]")?.textContent ?? "") ?? [];
      if (row && rows.at(-1) !== row) rows.push(row);
    }).observe(document.body, { childList: true, subtree: true, characterData: true });
  });
}

/** The rows that were announced since `watchRows`: "row 1 of 8". */
export const announcedRows = (page: Page): Promise<string[]> =>
  page.evaluate(() => (globalThis as unknown as { rows: string[] }).rows);
