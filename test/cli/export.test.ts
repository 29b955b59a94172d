import { writeFile } from "node:fs/promises";
import { expect, test } from "vitest";
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

test("refuses in one line", async () => {
  await writeFile(at("file"), "");
  await refused(() => xprompt("export", "tiny"), 2, /--output/);
  await refused(() => xprompt("export", "absent", "--output", "x"), 1, /expected a model folder/);
  await refused(() => xprompt("export", "tiny", "--output", "tiny"), 1, /expected an empty or no folder/);
  await refused(() => xprompt("export", "tiny", "--output", "file"), 1, /expected no file there/);
  await refused(() => xprompt("export", "tiny", "--output", at("no", "such")), 1, /check the path/);
});
