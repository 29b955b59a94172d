import { cp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { ClipEmbedder } from "../../src/retrieval/index.ts";
import reference from "../fixtures/clip/reference.json" with { type: "json" };
import { temporaryFolder } from "./kit.ts";

const fixtures = fileURLToPath(new URL("../fixtures", import.meta.url));
const model = join(fixtures, "clip", "model");
const clip = await ClipEmbedder.load(model, { threads: 1 });
afterAll(() => clip.release());

function expectNear(found: Float32Array, expected: readonly number[], digits: number): void {
  expect(found).toHaveLength(expected.length);
  for (const [i, value] of expected.entries()) expect(found[i]).toBeCloseTo(value, digits);
}

test.each(reference.texts)("the text embedder of $text are transformers'", async ({ text, vector }) => {
  expectNear(await clip.text(text), vector, 5);
});

test("the image embedder are transformers', but for the rounding of the scaled picture", async () => {
  expectNear(await clip.image(join(fixtures, "preprocess", "photo.jpg")), reference.image, 2);
});

test("other weights are another space; files that do not match are refused", async () => {
  const folder = await temporaryFolder();
  await cp(model, folder, { recursive: true });
  const config = JSON.parse(await readFile(join(model, "config.json"), "utf8"));
  const write = (changed: object) =>
    writeFile(join(folder, "config.json"), JSON.stringify({ ...config, ...changed }));
  await write({ vision_config: { ...config.vision_config, num_hidden_layers: 1 } });
  const fewer = await ClipEmbedder.load(folder);
  expect(fewer.space).not.toBe(clip.space);
  await fewer.release();
  await write({ projection_dim: 9 });
  await expect(ClipEmbedder.load(folder)).rejects.toThrow(
    /text_projection.weight: expected \[9, 8\] as config.json says, got \[8, 8\]/,
  );
  await write({ text_config: { ...config.text_config, hidden_act: "gelu" } });
  await expect(ClipEmbedder.load(folder)).rejects.toThrow(/text_config.hidden_act: .*quick_gelu/);
  await write({ model_type: "siglip" });
  await expect(ClipEmbedder.load(folder)).rejects.toThrow(/model_type: /);
  await write({});
  await rm(join(folder, "tokenizer.json"));
  await expect(ClipEmbedder.load(folder)).rejects.toThrow(/reading tokenizer .*expected it to exist/);
});
