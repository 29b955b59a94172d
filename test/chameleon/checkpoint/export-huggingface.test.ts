/** @file Exports, compared with the results of transformers; see test/fixtures/export/check.py. */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { exportHuggingFace } from "../../../src/chameleon/checkpoint/export-huggingface.ts";
import { TextTokenizer } from "../../../src/chameleon/tokenizers/text-tokenizer.ts";
import { XPromptError } from "../../../src/errors.ts";
import { writeSafetensors } from "../../../src/runtime/safetensors.ts";
import { openWeights } from "../../../src/runtime/weights.ts";
import { XPrompt } from "../../../src/xprompt/model.ts";
import { type Answers, ask } from "../../fixtures/export/kit.ts";
import { somePicture, writeTinyModel } from "../../fixtures/xprompt/kit.ts";
import { array, expectClose } from "../../graph/kit.ts";

/** Results of transformers. */
interface Reference {
  /** Checksum of the export. */
  readonly weights_sha256: string;
  readonly tokens: number[];
  /** float32 `[tokens, vocabulary]` in base64. */
  readonly logits: string;
  readonly codes: number[][];
  /** Ids by text, `<s>` first. */
  readonly texts: Readonly<Record<string, number[]>>;
}

const file = new URL("../../fixtures/export/reference.json", import.meta.url);
const reference = JSON.parse(await readFile(file, "utf8")) as Reference;

let folder: string;
const at = (...parts: string[]): string => join(folder, ...parts);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "xprompt-export-"));
  await writeTinyModel(at("tiny"));
  await exportHuggingFace(at("tiny"), at("export"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const json = async (...parts: string[]): Promise<Record<string, unknown>> =>
  JSON.parse(await readFile(at(...parts), "utf8"));

describe("transformers gives the same results as the model", () => {
  let answers: Answers;
  beforeAll(async () => {
    answers = await ask(at("tiny"));
  });

  test("it was given this very export", async () => {
    expect(await json("export", "config.json")).toMatchObject({ weights_sha256: reference.weights_sha256 });
  });

  test("logits", () => {
    const bytes = Buffer.from(reference.logits, "base64");
    const logits = Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i));
    const shape = [reference.tokens.length, answers.vocabulary];
    expect(answers.tokens).toEqual(reference.tokens);
    expectClose(array(shape, answers.logits), array(shape, logits), { relative: 2e-5 });
  });

  test("codes of pictures", () => {
    expect(new Set(reference.codes.flat()).size).toBeGreaterThan(5);
    expect(answers.codes).toEqual(reference.codes);
  });

  test("token ids of text, with <s> at the beginning", async () => {
    const text = await TextTokenizer.load(at("tiny", "tokenizer.json"));
    for (const [line, ids] of Object.entries(reference.texts))
      expect([text.vocabulary.bos, ...text.encode(line)]).toEqual(ids);
  });
});

test("an encoder with tiles is reported and kept, with the same codes", async () => {
  await cp(at("tiny"), at("tiled"), { recursive: true });
  const config = await json("tiled", "config.json");
  config.vq_config = { ...(config.vq_config as object), encoder_tile: 16 };
  await writeFile(at("tiled", "config.json"), JSON.stringify(config));
  const { encoderTile } = await exportHuggingFace(at("tiled"), at("tiled-export"));
  expect(encoderTile).toBe(16);
  const [own, exported, whole] = [
    await ask(at("tiled")),
    await ask(at("tiled-export")),
    await ask(at("tiny")),
  ];
  expect(exported.codes).toEqual(own.codes);
  expect(own.codes).not.toEqual(whole.codes);
});

test("scaled positions are kept, in the field of transformers 5", async () => {
  await cp(at("tiny"), at("turned"), { recursive: true });
  const own = { ...(await json("tiny", "config.json")), rope_scaling: { type: "linear", factor: 0.25 } };
  await writeFile(at("turned", "config.json"), JSON.stringify(own));
  await exportHuggingFace(at("turned"), at("turned-export"));
  const config = await json("turned-export", "config.json");
  expect(config.rope_parameters).toEqual({ rope_type: "linear", rope_theta: 100, factor: 0.25 });
  expect(config).not.toHaveProperty("rope_scaling");
});

test("the configuration is valid for transformers 5, and keeps our own fields", async () => {
  const own = await json("tiny", "config.json");
  const config = await json("export", "config.json");
  expect(config).toMatchObject({
    model_type: "chameleon",
    architectures: ["ChameleonForConditionalGeneration"],
    rope_parameters: { rope_type: "default", rope_theta: 100 },
    bos_token_id: 0,
    pad_token_id: 1,
    eos_token_id: 2,
    dtype: "float16",
    xprompt: own.xprompt,
  });
  expect(config).not.toHaveProperty("rope_theta");
  // 4 groups: eight times as wide.
  expect(config.vq_config).toEqual({
    ...(own.vq_config as object),
    model_type: "chameleon_vqgan",
    base_channels: 64,
    norm_groups: 32,
  });
  const { vocabulary_map: ids, image_token_id } = config as {
    vocabulary_map: Record<string, number>;
    image_token_id: number;
  };
  expect(Object.keys(ids)).toHaveLength(config.vocab_size as number);
  expect([ids["<image>"], ids.IMGIMGAZ, ids["<xp02>"]]).toEqual([image_token_id, 4, 42]);
  expect(await json("export", "processor_config.json")).toMatchObject({ image_seq_length: 16 });
  expect(await json("export", "preprocessor_config.json")).toMatchObject({
    crop_size: { height: 32, width: 32 },
  });
});

test("weights keep their type; only queries with a root that 16 bits cannot hold are stored wider", async () => {
  const weights = await openWeights(at("export"));
  const single = [...weights.tensors].filter(([, { dtype }]) => dtype !== "F16").map(([name]) => name);
  await weights.close();
  expect(single.sort()).toEqual(
    ["decoder", "encoder"].flatMap((half) =>
      ["bias", "weight"].map((kind) => `model.vqmodel.${half}.mid.attn_1.q.${kind}`),
    ),
  );
});

test("an export is still a model of ours, with the same results", async () => {
  const drawn = [];
  for (const path of [at("tiny"), at("export")]) {
    const model = await XPrompt.load(path, { threads: 1 });
    const [before, after, query] = ["a", "b", "c"].map((picture) => somePicture(picture));
    const prompt = await model.compress([{ input: before!, output: after! }]);
    const { codes, images } = await model.generate({ prompt, input: query!, seed: 5 });
    drawn.push({ codes, pixels: images[0].data });
    await model.release();
  }
  const [own, again] = drawn as [(typeof drawn)[number], (typeof drawn)[number]];
  expect(again.codes).toEqual(own.codes);
  // Up to float32 rounding: another width may sum in another order.
  const differences = Array.from(own.pixels, (x, i) => Math.abs(x - again.pixels[i]!));
  expect(Math.max(...differences)).toBeLessThan(2e-5);
});

test("exporting an export gives the same folder", async () => {
  await exportHuggingFace(at("export"), at("second"));
  for (const name of await readdir(at("export")))
    expect((await readFile(at("second", name))).equals(await readFile(at("export", name))), name).toBe(true);
});

async function copyOf(name: string, change: Readonly<Record<string, unknown>>): Promise<void> {
  await cp(at("tiny"), at(name), { recursive: true });
  const config = { ...(await json(name, "config.json")), ...change };
  await writeFile(at(name, "config.json"), JSON.stringify(config));
}

async function renameImageToken(model: string, name: string): Promise<void> {
  const text = await readFile(at(model, "tokenizer.json"), "utf8");
  await writeFile(at(model, "tokenizer.json"), text.replaceAll("<image>", name));
}

test("the reserved token that Meta's files have for <image> gets that name", async () => {
  await copyOf("reserved", { tokenizer_sha256: undefined });
  await renameImageToken("reserved", "<reserved08707>");
  await exportHuggingFace(at("reserved"), at("renamed"));
  for (const name of ["tokenizer.json", "config.json"])
    expect(await readFile(at("renamed", name), "utf8")).toBe(await readFile(at("export", name), "utf8"));
});

describe("refuses, and writes nothing", () => {
  const refused = async (source: string, target: string, message: RegExp): Promise<void> => {
    const before = await readdir(folder, { recursive: true });
    const attempt = exportHuggingFace(at(source), at(target));
    await expect(attempt).rejects.toThrow(XPromptError);
    await expect(attempt).rejects.toThrow(message);
    expect(await readdir(folder, { recursive: true })).toEqual(before);
  };

  test("a damaged model", async () => {
    await copyOf("damaged", { weights_sha256: "0".repeat(64) });
    await refused("damaged", "none", /checksum .* is damaged/);
  });

  test("a number of norm groups that does not divide 32", async () => {
    const { vq_config } = await json("tiny", "config.json");
    await copyOf("groups", { vq_config: { ...(vq_config as object), norm_groups: 6 } });
    await refused("groups", "none", /expected norms of 1, 2, .* groups, got 6/);
  });

  test("a quantized model", async () => {
    await copyOf("quantized", { weights_sha256: undefined });
    const codes = { name: "lm_head.weight", dtype: "U8", shape: [2], data: new Uint8Array(2) } as const;
    await writeSafetensors(at("quantized", "model.safetensors"), [codes]);
    await refused("quantized", "none", /got lm_head.weight in U8: the model is quantized/);
  });

  test("a tokenizer without <image>", async () => {
    await copyOf("imageless", { tokenizer_sha256: undefined });
    await renameImageToken("imageless", "<picture>");
    await refused("imageless", "none", /expected a token <image> or <reserved08707>, found neither/);
  });

  test("a folder with files", async () => {
    await mkdir(at("full"));
    await writeFile(at("full", "mine.txt"), "mine");
    await refused("tiny", "full", /expected an empty or no folder/);
    await refused("tiny", "tiny", /expected an empty or no folder/);
  });
});
