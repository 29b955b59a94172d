/** @file Everything that holds memory, threads or files can be released twice, and fits `await using`. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { ConversionJournal } from "../src/chameleon/convert/journal.ts";
import { PyTorchFile } from "../src/runtime/pytorch.ts";
import { SafetensorsFile } from "../src/runtime/safetensors.ts";
import { openWeights } from "../src/runtime/weights.ts";
import { Answers } from "../src/tasks/captioner/answers.ts";
import { XPrompt } from "../src/xprompt/model.ts";

const source = fileURLToPath(new URL("../src/", import.meta.url));

const files = readdirSync(source, { recursive: true, encoding: "utf8" }).filter((name) =>
  name.endsWith(".ts"),
);

/** The classes of the project: their names and their text. */
const classes = files.flatMap((file) => {
  const text = readFileSync(join(source, file), "utf8");
  return [...text.matchAll(/^(?:export )?class (\w+)[\s\S]*?^\}/gm)].map(([body, name]) => ({
    name: name!,
    body,
  }));
});

test("every class that is released or closed fits `await using`", () => {
  const holders = classes.filter(({ body }) => /^ {2}(?:async )?(?:release|close)\(\)/m.test(body));
  expect(holders.length).toBeGreaterThan(15);
  const lacking = holders.filter(({ body }) => !body.includes("[Symbol.asyncDispose]()"));
  expect(lacking.map(({ name }) => name)).toEqual([]);
});

const folder = mkdtempSync(join(tmpdir(), "xprompt-lifetimes-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const fixture = (path: string) => fileURLToPath(new URL(`fixtures/${path}`, import.meta.url));

const caption = {
  id: "1",
  subtask: "other",
  instruction: "a",
  reverseInstruction: "b",
  difference: "c",
  reverseDifference: "d",
} as const;

/** Ways to open something. */
const openings: Record<
  string,
  () => Promise<AsyncDisposable & ({ release(): unknown } | { close(): unknown })>
> = {
  SafetensorsFile: () => SafetensorsFile.open(fixture("safetensors/values.safetensors")),
  "SafetensorsFile in memory": async () =>
    SafetensorsFile.fromBytes(readFileSync(fixture("safetensors/values.safetensors")), "values"),
  WeightFolder: () => openWeights(fixture("safetensors/values.safetensors")),
  PyTorchFile: () => PyTorchFile.open(fixture("pytorch/plain.pt")),
  ConversionJournal: () => ConversionJournal.open(join(folder, "converted"), { input: "a", settings: "b" }),
  Answers: async () => {
    const answers = await Answers.open(join(folder, "captions.jsonl"));
    await answers.add("key", caption);
    return answers;
  },
  Tokenizer: async () => (await XPrompt.load("nano", { threads: 1 })).tokenizer,
};

test.each(Object.entries(openings))(
  "%s: leaving its scope releases it, and so may others",
  async (_, open) => {
    const opened = await (async () => {
      await using resource = await open();
      return resource;
    })();
    await ("release" in opened ? opened.release() : opened.close());
    await opened[Symbol.asyncDispose]();
  },
);

test("a file that went out of scope is closed", async () => {
  const file = await (async () => {
    await using opened = await openings.SafetensorsFile!();
    return opened as SafetensorsFile;
  })();
  await expect(file.read([...file.tensors.keys()][0]!)).rejects.toThrow(/closed|EBADF|bad file/i);
});

test("a conversion that went out of scope leaves its folder to the next", async () => {
  for (let i = 0; i < 2; i++) {
    await using _journal = await openings.ConversionJournal!();
  }
});
