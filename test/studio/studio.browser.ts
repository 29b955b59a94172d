/** @file What a person does in the studio, in a browser, with nano behind it. */

import { readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { Download, Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import { loadImage, readPngText, VisualPrompt } from "../../src/index.ts";
import { announcedRows, draw, drawn, drop, example, startStudio, watchRows } from "./kit.ts";

const studio = await startStudio();
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** No map of colours explains this pair: the picture is drawn. */
const pair = [example("seen/segmentation/before.png"), example("seen/segmentation/after.png")];
const query = example("seen/segmentation/query-1.png");
const button = (page: Page, name: string) => page.getByRole("button", { name, exact: true });
/** The bytes of a picture of the page. */
const bytesOf = (page: Page, name: string) =>
  page.getByRole("img", { name, exact: true }).evaluate(async (image) => {
    const response = await fetch((image as HTMLImageElement).src);
    return [...new Uint8Array(await response.arrayBuffer())];
  });
const saved = async (page: Page, name: string): Promise<string> => {
  const [download] = await Promise.all([page.waitForEvent("download"), button(page, name).click()]);
  const path = join(studio.folder, (download as Download).suggestedFilename());
  await (download as Download).saveAs(path);
  return path;
};

/** Holds back a picture that the board fetches. @returns a function that lets it through, and waits until it is there */
async function holdBack(page: Page, path: string): Promise<() => Promise<void>> {
  let release = () => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  await page.route(`**/${path}`, async (route) => {
    if (route.request().resourceType() === "fetch") await released;
    await route.continue();
  });
  return async () => {
    const response = page.waitForResponse(
      (each) => each.url().endsWith(path) && each.request().resourceType() === "fetch",
    );
    release();
    await (await response).finished();
    // The board has decoded it once it can be had and decoded again.
    await page.evaluate(async (address) => {
      const again = await fetch(address);
      (await createImageBitmap(await again.blob())).close();
    }, path);
  };
}

/**
 * Has the page's server finish the first of two pictures at once.
 * @returns a function that finishes the second one
 */
async function finishOneByOne(page: Page): Promise<() => Promise<void>> {
  await page.evaluate(
    (b64_json) => {
      const real = globalThis.fetch;
      globalThis.fetch = async (address: RequestInfo | URL, init?: RequestInit) => {
        if (!String(address).endsWith("/v1/images/generations")) return real(address, init);
        const body = new ReadableStream<Uint8Array>({
          start(stream) {
            const finish = (image_index: number) => {
              const event = {
                ...{ type: "image_generation.completed", b64_json, image_index },
                seed: image_index + 1,
              };
              stream.enqueue(new TextEncoder().encode(`data: ${JSON.stringify(event)}\n\n`));
            };
            finish(0);
            init!.signal!.addEventListener("abort", () => stream.error(init!.signal!.reason));
            Object.assign(globalThis, {
              finishSecond: () => {
                finish(1);
                stream.close();
              },
            });
          },
        });
        return new Response(body);
      };
    },
    (await readFile(query)).toString("base64"),
  );
  return () => page.evaluate(() => (globalThis as unknown as { finishSecond(): void }).finishSecond());
}

/** Everything that the checks of axe-core find wrong, by rule and element. */
async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axe);
  return page.evaluate(async () => {
    const { axe: checker } = globalThis as unknown as {
      axe: { run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> };
    };
    const { violations: found } = await checker.run();
    return found.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 200)}`));
  });
}

describe("a picture", () => {
  test("comes row by row from a pair and a query that were dropped, and outlives a reload", async () => {
    const page = await studio.open();
    await drop(page, "main", [...pair, query]);
    await page.getByRole("img", { name: /^Before: / }).waitFor();
    await page.getByRole("img", { name: /^Your picture: / }).waitFor();

    await watchRows(page);
    await draw(page);
    const rows = await announcedRows(page);
    expect(rows.slice(0, 2)).toEqual(["row 1 of 16", "row 2 of 16"]);

    const first = await bytesOf(page, "Result");
    const settings = await readPngText(await saved(page, "Download"));
    expect(JSON.stringify(settings)).toContain("seed");

    // The same seed gives the same picture, another seed another one.
    await draw(page);
    expect(await bytesOf(page, "Result")).toEqual(first);
    await page.getByLabel("Seed", { exact: true }).fill("12");
    await draw(page);
    expect(await bytesOf(page, "Result")).not.toEqual(first);

    await page.reload();
    await page.getByRole("link", { name: "History" }).click();
    const entries = page.getByRole("main").getByRole("button", { name: /seed/ });
    expect(await entries.count()).toBe(3);
    await entries.last().click();
    await page.getByRole("img", { name: "Result", exact: true }).waitFor();
    expect(await bytesOf(page, "Result")).toEqual(first);
    expect(await page.getByLabel("Seed", { exact: true }).inputValue()).toBe("1");
    await page.getByRole("img", { name: /^Before: / }).waitFor();
  });

  test("of the gallery is one press away; a grid, its viewer, and results as input and as example", async () => {
    const page = await studio.open();
    await button(page, "Show me an example").click();
    await drawn(page);
    await page.getByText("2", { exact: true }).click();
    await draw(page);
    await page.getByRole("button", { name: /^Open result 2, seed 2/ }).click();
    const dialog = page.getByRole("dialog");
    const slider = dialog.getByRole("slider");
    await slider.focus();
    await page.keyboard.press("ArrowRight");
    expect(await slider.inputValue()).toBe("1");
    await dialog.getByRole("button", { name: "Previous result" }).click();
    await page.getByRole("dialog", { name: "Result 1 of 2" }).waitFor();
    expect(await violations(page)).toEqual([]);
    await dialog.getByRole("button", { name: "Use as example" }).click();
    await dialog.waitFor({ state: "hidden" });
    expect(await page.getByRole("img", { name: /^After: / }).count()).toBe(2);
    await page.getByRole("button", { name: /^Open result 2, seed 2/ }).click();
    await dialog.getByRole("button", { name: "Use as input" }).click();
    await page.getByRole("img", { name: "Your picture: result 2" }).waitFor();
  });

  test("is set up by files that are dropped together on one place, as by those dropped anywhere", async () => {
    const page = await studio.open();
    await drop(page, '[aria-label="After"]', [...pair, query]);
    for (const name of [/^Before: .*before/, /^After: .*after/, /^Your picture: .*query/])
      await page.getByRole("img", { name }).waitFor();
  });

  test("at full size is as large as the photograph that was dropped", async () => {
    const page = await studio.open();
    await drop(page, "main", pair);
    await page.getByRole("img", { name: /^After: / }).waitFor();
    const photograph = await page.evaluateHandle(async () => {
      const canvas = new OffscreenCanvas(320, 200);
      const context = canvas.getContext("2d")!;
      for (let i = 0; i < 200; i++) {
        context.fillStyle = `hsl(${i} 60% ${20 + i / 4}%)`;
        context.fillRect(0, i, 320, 1);
      }
      const transfer = new DataTransfer();
      transfer.items.add(new File([await canvas.convertToBlob()], "photo.png", { type: "image/png" }));
      return transfer;
    });
    await page.dispatchEvent('[aria-label="Your picture"]', "drop", { dataTransfer: photograph });
    await page.getByRole("img", { name: "Your picture: photo.png" }).waitFor();
    await draw(page);
    const { width, height } = await loadImage(await saved(page, "Download"));
    expect([width, height]).toEqual([320, 200]);
  });

  test("is given up when another change or another picture is chosen meanwhile", async () => {
    const page = await studio.open();
    await button(page, "Grayscale").click();
    await page.getByRole("img", { name: /^Your picture: / }).waitFor();
    for (const other of ["Invert", "Try picture 2"]) {
      await button(page, "Draw").click();
      await page
        .getByRole("status")
        .filter({ hasText: /row \d/ })
        .waitFor({ state: "attached" });
      await button(page, other).click();
      await button(page, "Draw").waitFor();
      expect((await page.getByRole("alert").allTextContents()).join("").trim()).toBe("");
      await page.getByText("appears here, row by row").waitFor();
    }
  });
});

describe("of pictures that are chosen one after the other, the last one stays, though it is there first:", () => {
  test("changes of the gallery", async () => {
    const page = await studio.open();
    const arrive = await holdBack(page, "v1/gallery/grayscale/before.png");
    await button(page, "Grayscale").click();
    await button(page, "Invert").click();
    const last = page.getByRole("img", { name: "Before: Invert before", exact: true });
    await last.waitFor();
    await arrive();
    expect(await last.count()).toBe(1);
  });

  test("a picture to try, and another change", async () => {
    const page = await studio.open();
    await button(page, "Grayscale").click();
    const arrive = await holdBack(page, "v1/gallery/grayscale/query-2.png");
    await button(page, "Try picture 2").click();
    await button(page, "Invert").click();
    const last = page.getByRole("img", { name: "Your picture: gallery Invert", exact: true });
    await last.waitFor();
    await arrive();
    expect(await last.count()).toBe(1);
  });
});

test("a change of the gallery leaves a picture that was dropped before it came", async () => {
  const page = await studio.open();
  const arrive = await holdBack(page, "v1/gallery/grayscale/before.png");
  await button(page, "Grayscale").click();
  await drop(page, '[aria-label="Your picture"]', [query]);
  const own = page.getByRole("img", { name: "Your picture: segmentation-query-1.png", exact: true });
  await own.waitFor();
  await arrive();
  await page.getByRole("img", { name: "Before: Grayscale before", exact: true }).waitFor();
  expect(await own.count()).toBe(1);
});

test("text that is pasted or dropped into a field stays text", async () => {
  const page = await studio.open();
  await button(page, "Grayscale").waitFor();
  const isTaken = (selector: string, kind: "paste" | "drop") =>
    page.locator(selector).evaluate((element, kind) => {
      const data = new DataTransfer();
      data.setData("text/plain", "words");
      if (kind === "paste") data.items.add(new File([], "words.png", { type: "image/png" }));
      const options = { bubbles: true, cancelable: true };
      const event =
        kind === "paste"
          ? new ClipboardEvent(kind, { ...options, clipboardData: data })
          : new DragEvent(kind, { ...options, dataTransfer: data });
      return !element.dispatchEvent(event);
    }, kind);
  for (const kind of ["paste", "drop"] as const) {
    expect(await isTaken("textarea", kind)).toBe(false);
    expect(await isTaken("main", kind)).toBe(true);
  }
});

test("a server's key is asked for, and kept in the tab", async () => {
  const page = await studio.open();
  await page.route("**/v1/models", async (route) => {
    if (route.request().headers().authorization === "Bearer secret") await route.continue();
    else await route.fulfill({ status: 401, json: {} });
  });
  await page.reload();
  for (const [key, says] of [
    ["wrong", "asks for a key"],
    ["secret", "does not know this key"],
  ] as const) {
    await page.getByRole("alert").getByText(says).waitFor();
    await page.getByLabel("Key", { exact: true }).fill(key);
    if (key === "wrong") expect(await violations(page)).toEqual([]);
    await button(page, "Open the studio").click();
  }
  await button(page, "Draw").waitFor();
  await page.reload();
  await page.getByText(/^model /).waitFor();
  expect(await page.getByLabel("Key", { exact: true }).count()).toBe(0);
});

describe("keys", () => {
  test("Escape closes the viewer, and the other pictures are still drawn", async () => {
    const page = await studio.open();
    await drop(page, "main", pair);
    await page.getByRole("img", { name: /^After: / }).waitFor();
    await page.getByText("2", { exact: true }).click();
    const finishSecond = await finishOneByOne(page);
    await button(page, "Draw").click();
    await button(page, "Open result 1, seed 1").click();
    const dialog = page.getByRole("dialog");
    await dialog.waitFor();
    expect(await dialog.getByRole("button", { name: "Next result" }).count()).toBe(0);
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "hidden" });
    await finishSecond();
    await button(page, "Open result 2, seed 2").waitFor();
    await drawn(page);
  });

  test("Ctrl Enter draws on the page that draws, and on no other", async () => {
    const page = await studio.open({}, "#/history");
    await page.getByRole("heading", { name: "History" }).waitFor();
    await page.keyboard.press("Control+Enter");
    await page.getByRole("link", { name: "Draw", exact: true }).click();
    await button(page, "Draw").waitFor();
    expect((await page.getByRole("alert").allTextContents()).join("").trim()).toBe("");
  });
});

describe("a prompt", () => {
  test("is saved, opened again, and used in place of its pair", async () => {
    const page = await studio.open();
    await drop(page, "main", pair);
    await page.getByRole("img", { name: /^After: / }).waitFor();
    const path = await saved(page, "Save");
    expect((await VisualPrompt.load(path)).blocks).toHaveLength(1);
    await page.reload();
    await drop(page, "main", [path, query]);
    await page.getByText("1 example, compiled").waitFor();
    await draw(page);
    await page.getByRole("img", { name: "Result", exact: true }).waitFor();
    await rm(path);
  });

  test("that is no prompt is refused where it was dropped", async () => {
    const page = await studio.open();
    const wrong = await page.evaluateHandle(() => {
      const transfer = new DataTransfer();
      transfer.items.add(new File(["something else"], "wrong.xprompt"));
      transfer.items.add(new File(["no picture"], "notes.txt", { type: "text/plain" }));
      return transfer;
    });
    await page.dispatchEvent("main", "drop", { dataTransfer: wrong });
    await page
      .getByRole("region", { name: "The change" })
      .getByRole("alert")
      .getByText(/prompt/)
      .waitFor();
  });

  test("and drawing without anything says what is missing", async () => {
    const page = await studio.open();
    await button(page, "Draw").click();
    await page.getByRole("alert").getByText("Show a change first").waitFor();
    await drop(page, '[aria-label="Before"]', [pair[0]!]);
    await page.getByRole("img", { name: /^Before: / }).waitFor();
    await page.keyboard.press("Control+Enter");
    await page.getByRole("alert").getByText("needs both pictures").waitFor();
  });
});

test("a change is described in words, which can be used", async () => {
  const page = await studio.open();
  await page.getByRole("button", { name: "Grayscale" }).click();
  await button(page, "Describe").click();
  await button(page, "Use these words").click({ timeout: 100_000 });
  expect(await page.getByLabel("In words").inputValue()).not.toBe("");
  // The words are not about another picture.
  await drop(page, '[aria-label="After"]', [query]);
  await button(page, "Use these words").waitFor({ state: "detached" });
});

test("the library is searched by words, and gives its pair to the board", async () => {
  const page = await studio.open();
  await page.getByRole("searchbox").fill("black and white");
  await page.getByRole("button", { name: "make it black and white" }).click();
  await page.getByRole("img", { name: "Before: make it black and white before" }).waitFor();
});

test("a training run is watched: figures, curves, sheets", async () => {
  const page = await studio.open({}, "#/training");
  await page.getByRole("img", { name: "Loss over 200 steps" }).waitFor();
  expect(await page.getByRole("term").allTextContents()).toContain("Tokens per second");
  expect(await page.getByRole("progressbar", { name: "Steps done" }).getAttribute("value")).toBe("200");
  await page.getByRole("img", { name: "What the model made at step 200" }).waitFor();
  await page.getByRole("row", { name: "right 1.375" }).waitFor();
  expect(await violations(page)).toEqual([]);
});

test("an address that cannot be decoded leads to the page of runs, which says that there is no such run", async () => {
  const page = await studio.open({}, "#/training/%");
  await page.getByRole("heading", { name: "Training" }).waitFor();
  await page.getByRole("alert").getByText("looking up a run").waitFor();
});

describe.each([
  { name: "wide", viewport: { width: 1360, height: 900 } },
  { name: "narrow", viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true },
])("on a $name screen", ({ viewport, ...options }) => {
  test.each(["light", "dark"] as const)(
    "no rule of axe-core is broken, nothing runs over: %s",
    async (colorScheme) => {
      const page = await studio.open({
        viewport,
        colorScheme,
        ...("hasTouch" in options && { hasTouch: true }),
      });
      await page.getByRole("button", { name: "Derain" }).waitFor();
      expect(await violations(page)).toEqual([]);
      await page.getByRole("button", { name: "Derain" }).click();
      await page.getByRole("img", { name: /^After: / }).waitFor();
      await page.getByText("More settings").click();
      expect(await violations(page)).toEqual([]);
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      expect(overflow).toBeLessThanOrEqual(0);
      await page.getByRole("link", { name: "History" }).click();
      expect(await violations(page)).toEqual([]);
    },
  );
});

test("the theme follows the system until one is chosen, and the choice is kept", async () => {
  const page = await studio.open({ colorScheme: "dark" });
  const background = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const dark = await background();
  await page.getByRole("button", { name: "Theme: auto" }).click();
  expect(await background()).not.toBe(dark);
  await page.reload();
  await page.getByRole("button", { name: "Theme: light" }).click();
  expect(await background()).toBe(dark);
});

test("the first load has at most 200 kB of script", async () => {
  const page = await studio.open();
  const sizes = await page.evaluate(() =>
    (performance.getEntriesByType("resource") as PerformanceResourceTiming[])
      .filter(({ name }) => name.endsWith(".js"))
      .map(({ decodedBodySize }) => decodedBodySize),
  );
  expect(sizes.length).toBeGreaterThan(0);
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(200_000);
});
