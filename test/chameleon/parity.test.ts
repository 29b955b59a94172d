/**
 * @file Checkpoints of several sizes, types and layouts, compared with Hugging Face; see
 * test/fixtures/chameleon/parity.py.
 */
import { readdirSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Decoder } from "../../src/chameleon/model/decoder.ts";
import { openWeights } from "../../src/runtime/weights.ts";
import { folderOf, loadDecoder } from "../fixtures/chameleon/kit.ts";
import { array, expectClose, type NdArray } from "../graph/kit.ts";

/** Results of transformers for a checkpoint; logits are float32 in base64. */
interface Reference {
  readonly folder: string;
  readonly prompt: readonly number[];
  /** `[prompt, vocabulary]`, in float32 */
  readonly logits: string;
  /** The same in float16, if the weights are stored so. */
  readonly half?: string;
  /** Ids that the reference never gives. */
  readonly masked: readonly number[];
  /** The greedy continuation. */
  readonly greedy: readonly number[];
}

const references = JSON.parse(readFileSync(folderOf("parity.json"), "utf8")) as readonly Reference[];

test("the checkpoints differ in type, layout, heads and files", async () => {
  const kinds = await Promise.all(
    references.map(async ({ folder }) => {
      const { config } = await loadDecoder(folder);
      const weights = await openWeights(folderOf(folder));
      const types = new Set([...weights.tensors.values()].map(({ dtype }) => dtype));
      await weights.close();
      const files = readdirSync(folderOf(folder)).filter((name) => name.endsWith(".safetensors")).length;
      const json = JSON.parse(readFileSync(`${folderOf(folder)}/config.json`, "utf8"));
      const layout = json.rope_parameters ? "new" : "old";
      const { heads, keyValueHeads, swinNorm, rope } = config;
      return [[...types].join(), files, layout, heads, keyValueHeads, swinNorm, rope.theta];
    }),
  );
  expect(kinds).toEqual([
    ["F16", 1, "new", 4, 4, false, 1e4],
    ["BF16", 1, "new", 6, 2, true, 500],
    ["F32", 1, "old", 1, 1, false, 700],
    ["F16", 4, "new", 8, 2, true, 1e4],
    ["BF16", 3, "old", 3, 1, false, 1e6],
  ]);
});

test("the reference's own forward pass would not give some tokens of the continuations", () => {
  const drawn = references.filter(({ greedy, masked }) => greedy.some((token) => masked.includes(token)));
  expect(drawn.map(({ folder }) => folder)).toEqual(["grouped", "single-head", "multi-query"]);
});

describe.each(references)("checkpoint $folder", ({ folder, prompt, logits, half, masked, greedy }) => {
  let decoder: Decoder;
  beforeAll(async () => {
    const { config, weights } = await loadDecoder(folder);
    decoder = await Decoder.create(config, weights, { threads: 1 });
  });
  afterAll(() => decoder.release());

  const unpacked = (text: string): NdArray => {
    const bytes = Buffer.from(text, "base64");
    const values = Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i));
    return array([prompt.length, values.length / prompt.length], values);
  };
  /** Logits after every token of the prompt, computed token by token. */
  const read = async (): Promise<NdArray> => {
    const cache = decoder.newCache(1);
    const rows: number[] = [];
    for (const [i, token] of prompt.entries())
      rows.push(...(await decoder.forward([{ tokens: [token], positions: [i] }], cache)));
    return array([prompt.length, rows.length / prompt.length], rows);
  };

  test("logits", async () => {
    expectClose(await read(), unpacked(logits), { relative: 2e-5 });
  });

  if (half !== undefined)
    test("logits of the reference in float16", async () => {
      expectClose(await read(), unpacked(half), { relative: 5e-3 });
    });

  test("image tokens are not masked, unlike in the reference", async () => {
    expect(masked.length).toBeGreaterThan(1);
    const { data, shape } = await read();
    const last = data.subarray(data.length - shape[1]!);
    for (const id of masked) expect(Math.abs(last[id]!)).toBeLessThan(100);
  });

  test("the greedy continuation, with the cache", async () => {
    const cache = decoder.newCache(1);
    const made: number[] = [];
    for (let next: readonly number[] = prompt, at = 0; made.length < greedy.length; next = made.slice(-1)) {
      const positions = next.map((_, i) => at + i);
      const row = await decoder.forward([{ tokens: next, positions }], cache);
      at += next.length;
      made.push(row.indexOf(Math.max(...row)));
    }
    expect(made).toEqual(greedy);
  });
});
