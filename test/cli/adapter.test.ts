/** @file `--adapter` and `xprompt train` of one, as processes. */
import { existsSync } from "node:fs";
import { cp, readFile, writeFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { writeTinyModel } from "../fixtures/xprompt/kit.ts";
import { pixelsOf, settingsIn, workplace } from "./kit.ts";

const { at, xprompt, json, refused } = await workplace();

test("an adapter is trained, used, told in the picture, and refused by another model", async () => {
  const recipe = {
    kind: "transformer",
    steps: 2,
    init: "tiny",
    train: "xp",
    optimizer: { learningRate: 0.3 },
    schedule: { shape: "constant" },
    contexts: 1,
    todos: 1,
    mix: { families: ["invert"] },
    heldOutBatches: 1,
    workers: 0,
    threads: 1,
  };
  await writeFile(at("recipe.mjs"), `export default ${JSON.stringify(recipe)};\n`);
  const trained = await json("train", "recipe.mjs", "--out", "run");
  expect(trained).toMatchObject({ steps: 2, model: "run/model" });
  expect(existsSync(at("run", "model", "adapter_config.json"))).toBe(true);

  const request = ["--model", "tiny", "--threads", "1", "--example", "before.png", "after.png"];
  const draw = ["generate", ...request, "--input", "query.png", "--seed", "1", "--temperature", "0"];
  const adapter = ["--adapter", "run/model"];
  const [alone, adapted] = [
    await json(...draw, "--output", "alone.png"),
    await json(...draw, ...adapter, "--output", "adapted.png"),
  ];
  expect(adapted.model).not.toBe(alone.model);
  expect((await pixelsOf(at("adapted.png"))).data).not.toEqual((await pixelsOf(at("alone.png"))).data);
  expect(await settingsIn(at("adapted.png"))).toMatchObject({ model: "tiny", adapter: "model" });

  const measured = await json(
    ...["eval", "compression", "--model", "tiny", ...adapter],
    ...["--limit", "1", "--greedy", "--threads", "1"],
  );
  expect(measured).toMatchObject({ model: "tiny", adapter: "run/model", fingerprint: adapted.model });
  expect(measured.command).toContain("--model tiny --adapter run/model");

  await writeTinyModel(at("other"), 2);
  await refused(
    () => xprompt(...draw, ...adapter, "--model", "other", "--output", "other.png"),
    1,
    "using adapter run/model: expected an adapter of this model",
  );
  await cp(at("run", "model"), at("damaged"), { recursive: true });
  const weights = at("damaged", "adapter_model.safetensors");
  await writeFile(weights, (await readFile(weights)).subarray(0, 100));
  await refused(
    () => xprompt(...draw, "--adapter", "damaged", "--output", "damaged.png"),
    1,
    /the file is cut off/,
  );
  await refused(
    () => xprompt(...draw, "--adapter", "nowhere", "--output", "nowhere.png"),
    1,
    /adapter_config\.json/,
  );
});
