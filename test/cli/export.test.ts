import { readFile, writeFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { writeCheckpoint } from "../fixtures/complete/kit.ts";
import { workplace } from "./kit.ts";

const { at, json, succeed, refused, xprompt } = await workplace();

test("writes a folder, and says what it wrote", async () => {
  const said = await json("export", "tiny", "--output", "one");
  expect(said).toMatchObject({ output: "one", model: at("tiny"), widening: 8, dtype: "float16" });
  const { stdout, stderr } = await succeed("export", "tiny", "--output", "two");
  expect(stdout).toBe("");
  const { written } = said.parameters as { written: number };
  expect(stderr).toBe(
    `wrote two: ${written} numbers in float16; the image tokenizer 8 times as wide, for norms of 32 groups\n`,
  );
  await json("inspect", "one");
});

test("a plain Chameleon folder, whose processor is kept", async () => {
  await writeCheckpoint(at("plain"));
  const processor = { crop_size: 16, size: { shortest_edge: 20 }, rescale_factor: 0.0078, resample: 3 };
  await writeFile(at("plain", "preprocessor_config.json"), JSON.stringify(processor));
  await succeed("export", "plain", "--output", "plain-hf");
  const read = async (name: string) => JSON.parse(await readFile(at("plain-hf", name), "utf8"));
  expect(await read("preprocessor_config.json")).toMatchObject({
    ...processor,
    crop_size: { height: 16, width: 16 },
  });
  expect(await read("config.json")).toMatchObject({ model_type: "chameleon", vocabulary_map: { "<s>": 0 } });
  await json("inspect", "plain-hf");
});

test("refuses in one line", async () => {
  await writeFile(at("file"), "");
  await refused(() => xprompt("export", "tiny"), 2, /--output/);
  await refused(() => xprompt("export", "absent", "--output", "x"), 1, /expected a model folder/);
  await refused(() => xprompt("export", "tiny", "--output", "tiny"), 1, /expected an empty or no folder/);
  await refused(() => xprompt("export", "tiny", "--output", "file"), 1, /expected no file there/);
  await refused(() => xprompt("export", "tiny", "--output", at("no", "such")), 1, /check the path/);
});
