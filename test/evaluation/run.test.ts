/** @file Evaluations that fail at their start: nothing is left open, and nobody waits for ever. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { evaluate } from "../../src/evaluation/index.ts";
import { rehearse, type Spread } from "../../src/evaluation/rehearsal.ts";
import type { Suite, SuiteContext } from "../../src/evaluation/suite.ts";
import { XPrompt } from "../../src/xprompt/model.ts";
import { writeTinyModel } from "../fixtures/xprompt/kit.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "xprompt-evaluation-"));
  await writeTinyModel(join(folder, "tiny"));
});
afterAll(() => rm(folder, { recursive: true }));
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

const suite: Suite = {
  name: "none",
  description: "nothing",
  limit: 1,
  run: async () => ({ figures: {}, report: [], summary: [] }),
};
const given = { seed: 1, options: {}, command: "", load: { threads: 1 } };

test("a folder that cannot be made, and wrong settings, leave no model, spread or rehearsal behind", async () => {
  const model = join(folder, "tiny");
  const release = vi.spyOn(XPrompt.prototype, "release");
  await writeFile(join(folder, "file"), "");
  const inFile = { ...given, model, out: join(folder, "file", "out") };
  await expect(evaluate(suite, inFile)).rejects.toMatchObject({ code: "ERR_FILE" });
  expect(release).toHaveBeenCalledTimes(1);
  const [stop, rehearsed] = [vi.fn(async () => {}), vi.fn()];
  const spread = (used: XPrompt): Spread => ({ rehearsing: used, model: used, rehearsed, stop });
  const wrong = { ...given, model, settings: { temperature: -1 }, spread };
  await expect(evaluate(suite, wrong)).rejects.toThrow("temperature");
  expect([stop, rehearsed, release].map(({ mock }) => mock.calls.length)).toEqual([1, 1, 2]);
});

test("a rehearsal without a folder for its files ends, and lets the real run ask", async () => {
  vi.stubEnv("TMPDIR", join(folder, "nowhere"));
  const rehearsed = vi.fn();
  const model = {} as XPrompt;
  const context = {
    folder,
    training: { families: [], names: [], heldOutPrototypes: [] },
    limit: 1,
    seed: 1,
    options: {},
    command: "",
  };
  const kept = { suite: "none", seed: 1 };
  const spread = { rehearsing: model, model, rehearsed, stop: async () => {} };
  await rehearse(suite, spread, { ...context, settings: {}, kept });
  expect(rehearsed).toHaveBeenCalledTimes(1);
});

test("progress goes to standard error, or nowhere", async () => {
  const lines: string[] = [];
  vi.spyOn(process.stderr, "write").mockImplementation((line) => lines.push(String(line)) > 0);
  const drawing = {
    ...suite,
    run: async (context: SuiteContext) => {
      context.generations.expect(3);
      return suite.run(context);
    },
  };
  const model = join(folder, "tiny");
  await evaluate(drawing, { ...given, model });
  expect(lines.join("")).toContain("0/3 pictures");
  lines.length = 0;
  await evaluate(drawing, { ...given, model, quiet: true });
  vi.restoreAllMocks();
  expect(lines).toEqual([]);
});
