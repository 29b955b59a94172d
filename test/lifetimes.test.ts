/** @file Everything that holds memory, threads or files can be released twice, and fits `await using`. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { ConversionJournal } from "../src/chameleon/convert/journal.ts";
import { PyTorchFile } from "../src/runtime/pytorch.ts";
import { SafetensorsFile } from "../src/runtime/safetensors.ts";
import { openWeights, type WeightFolder } from "../src/runtime/weights.ts";
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

interface Opened {
  readonly held: AsyncDisposable & ({ release(): unknown } | { close(): unknown });
  /** Fails when what it uses is closed. */
  use(): Promise<unknown>;
}

const weights = fixture("safetensors/values.safetensors");
const reading = (held: SafetensorsFile | WeightFolder | PyTorchFile): Opened => ({
  held,
  use: () => held.read([...held.tensors.keys()][0]!),
});

/** Ways to open something. */
const openings: Record<string, () => Promise<Opened>> = {
  SafetensorsFile: async () => reading(await SafetensorsFile.open(weights)),
  WeightFolder: async () => reading(await openWeights(weights)),
  PyTorchFile: async () => reading(await PyTorchFile.open(fixture("pytorch/plain.pt"))),
  ConversionJournal: async () => {
    const held = await ConversionJournal.open(join(folder, "converted"), { input: "a", settings: "b" });
    return { held, use: () => held.finish([]) };
  },
  Answers: async () => {
    const held = await Answers.open(join(folder, "captions.jsonl"));
    let added = 0;
    return { held, use: () => held.add(`key ${++added}`, caption) };
  },
  Tokenizer: async () => {
    const held = (await XPrompt.load("nano", { threads: 1 })).tokenizer;
    return { held, use: () => held.decodeImage(new Int32Array(held.codesPerImage)) };
  },
};

test.each(Object.entries(openings))(
  "%s: leaving its scope releases it, and so may others",
  async (_, open) => {
    const { held, use } = await open();
    {
      await using _held = held;
      await use();
    }
    await expect(use()).rejects.toThrow(/closed|released|EBADF/);
    await ("release" in held ? held.release() : held.close());
    await held[Symbol.asyncDispose]();
  },
);

test("a file in memory may be closed twice", async () => {
  const file = await SafetensorsFile.fromBytes(readFileSync(weights), "values");
  await file.close();
  await file[Symbol.asyncDispose]();
});

test("what went out of scope leaves its folder or file to the next", async () => {
  for (const name of ["ConversionJournal", "Answers"])
    for (let i = 0; i < 2; i++) {
      await using _held = (await openings[name]!()).held;
    }
});
