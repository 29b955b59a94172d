/** @file Adapters against Hugging Face's PEFT; see test/fixtures/adapter/make.py. */
import { cp, mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type Adapter,
  mergeAdapter,
  readAdapterFolder,
  writeAdapterFolder,
} from "../../../src/chameleon/checkpoint/adapter-folder.ts";
import { Decoder } from "../../../src/chameleon/model/decoder.ts";
import { loraTargets } from "../../../src/chameleon/model/lora.ts";
import { XPromptError } from "../../../src/errors.ts";
import type { Initializer } from "../../../src/graph/index.ts";
import { writeSafetensors } from "../../../src/runtime/safetensors.ts";
import { loadDecoder, unpack } from "../../fixtures/chameleon/kit.ts";
import { array, expectClose } from "../../graph/kit.ts";

const fixtures = fileURLToPath(new URL("../../fixtures/adapter", import.meta.url));
interface Reference {
  readonly folder: string;
  readonly base: string;
  readonly tokens: readonly number[];
  readonly logits: { readonly shape: readonly number[]; readonly data: readonly number[] };
}
const references: Reference[] = JSON.parse(await readFile(join(fixtures, "reference.json"), "utf8"));

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "xprompt-adapter-"));
});
afterAll(() => rm(folder, { recursive: true }));

describe.each(references)("PEFT's adapter $folder of $base", ({ folder, base, tokens, logits }) => {
  const expected = unpack(logits);
  const width = expected.shape[1]!;

  async function expectReference(decoder: Decoder): Promise<void> {
    try {
      const cache = decoder.newCache(1);
      for (const [i, token] of tokens.entries()) {
        const computed = await decoder.forward([{ tokens: [token], positions: [i] }], cache);
        const row = array([width], expected.data.subarray(i * width, (i + 1) * width));
        expectClose(array([width], computed), row, { relative: 2e-5, what: `token ${i} ` });
      }
    } finally {
      await decoder.release();
    }
  }

  test("merged into the weights gives PEFT's logits", async () => {
    const { config, weights } = await loadDecoder(base);
    const merged = mergeAdapter(weights, await readAdapterFolder(join(fixtures, folder)));
    await expectReference(await Decoder.create(config, merged, { threads: 1 }));
  });

  test("beside the weights, as it is trained, gives PEFT's logits", async () => {
    const { config, weights } = await loadDecoder(base);
    const adapter = await readAdapterFolder(join(fixtures, folder));
    const adapted = { ...config, adapter: adapter.config };
    const together = new Map([...weights, ...adapter.weights]);
    await expectReference(await Decoder.create(adapted, together, { threads: 1 }));
  });

  test("the model alone does not", async () => {
    const { config, weights } = await loadDecoder(base);
    const without = await Decoder.create(config, weights, { threads: 1 });
    await expect(expectReference(without)).rejects.toThrow("token 0");
  });
});

describe("written and read", () => {
  const base = { name: "some/model", checksum: "0123abcd" };
  const path = () => join(folder, "written");

  test.each(references)("$folder: a round trip keeps all, in PEFT's names", async ({ folder: name }) => {
    const original = await readAdapterFolder(join(fixtures, name));
    await writeAdapterFolder(path(), original, base);
    expect((await readdir(path())).sort()).toEqual(["adapter_config.json", "adapter_model.safetensors"]);
    const again = await readAdapterFolder(path());
    const sorted = ({ weights }: Adapter) => [...weights].sort(([a], [b]) => (a < b ? -1 : 1));
    expect(sorted(again)).toEqual(sorted(original));
    expect(again.config).toEqual(original.config);
    expect([again.base, original.base]).toEqual([base.checksum, undefined]);
    const header = async (place: string) => {
      const bytes = await readFile(join(place, "adapter_model.safetensors"));
      return Object.keys(JSON.parse(bytes.toString("utf8", 8, 8 + bytes.readUInt32LE(0)))).sort();
    };
    expect(await header(path())).toEqual(await header(join(fixtures, name)));
    const json = JSON.parse(await readFile(join(path(), "adapter_config.json"), "utf8"));
    expect(json).toMatchObject({ base_model_name_or_path: "some/model", task_type: "CAUSAL_LM" });
  });

  test("the checksum depends on weights and settings", async () => {
    const original = await readAdapterFolder(join(fixtures, "lora"));
    const checksums = [original.checksum];
    const variants = [
      { ...original, config: { ...original.config, lora: { ...original.config.lora!, alpha: 6 } } },
      { ...original, config: { ...original.config, headTokens: [4, 6] } },
    ];
    for (const variant of variants) {
      await writeAdapterFolder(path(), variant, base);
      checksums.push((await readAdapterFolder(path())).checksum);
    }
    expect(new Set(checksums).size).toBe(3);
  });

  test("a changed byte of the weights, or digit of the settings, is refused; another place of the base is not", async () => {
    await writeAdapterFolder(path(), await readAdapterFolder(join(fixtures, "lora")), base);
    const weights = join(path(), "adapter_model.safetensors");
    const bytes = await readFile(weights);
    bytes[bytes.length - 3]! ^= 1;
    await writeFile(weights, bytes);
    expect(await refusal(readAdapterFolder(path()))).toContain("expected the recorded checksum");
    bytes[bytes.length - 3]! ^= 1;
    await writeFile(weights, bytes);
    const settings = join(path(), "adapter_config.json");
    const json = JSON.parse(await readFile(settings, "utf8"));
    await writeFile(settings, JSON.stringify({ ...json, base_model_name_or_path: "moved" }));
    await readAdapterFolder(path());
    await writeFile(settings, JSON.stringify({ ...json, lora_alpha: json.lora_alpha + 1 }));
    expect(await refusal(readAdapterFolder(path()))).toContain("expected the recorded checksum");
  });
});

async function refusal(work: Promise<unknown> | (() => unknown)): Promise<string> {
  const error = await (typeof work === "function" ? Promise.resolve().then(work) : work).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(XPromptError);
  expect((error as XPromptError).message).not.toContain("\n");
  return (error as XPromptError).message;
}

describe("refused", () => {
  /** A copy of PEFT's adapter with another setting. */
  async function changed(settings: object): Promise<string> {
    const path = join(folder, "changed");
    await cp(join(fixtures, "lora"), path, { recursive: true });
    const config = join(path, "adapter_config.json");
    await writeFile(config, JSON.stringify({ ...JSON.parse(await readFile(config, "utf8")), ...settings }));
    return path;
  }

  test.each([
    [{ use_dora: true }, "use_dora"],
    [{ use_rslora: true }, "use_rslora"],
    [{ rank_pattern: { q_proj: 4 } }, "rank_pattern"],
    [{ modules_to_save: ["lm_head"] }, "modules_to_save"],
    [{ trainable_token_indices: { norm: [1] } }, "trainable_token_indices"],
    [{ peft_type: "IA3" }, "peft_type"],
  ])("%j", async (settings, says) => {
    const message = await refusal(readAdapterFolder(await changed(settings)));
    expect(message).toMatch(/^reading adapter config .*adapter_config\.json: /);
    expect(message).toContain(says);
  });

  test("another kind of folder, a file that is cut off, tensors of other layers", async () => {
    expect(await refusal(readAdapterFolder(folder))).toContain("adapter_config.json");
    const path = await changed({});
    const file = join(path, "adapter_model.safetensors");
    await truncate(file, 3000);
    expect(await refusal(readAdapterFolder(path))).toContain("the file is cut off");
    const data = new Float32Array(1);
    await writeSafetensors(file, [
      { name: "base_model.model.lm_head.lora_A.weight", dtype: "F32", shape: [1, 1], data },
    ]);
    expect(await refusal(readAdapterFolder(path))).toContain(
      `expected adapters of ${loraTargets.join(", ")} and rows of the embedding and head, got base_model.model.lm_head.lora_A.weight`,
    );
  });

  test("an adapter of another model's shapes, half an adapter, more than its settings say", async () => {
    const adapter = await readAdapterFolder(join(fixtures, "lora"));
    const { weights } = await loadDecoder("plain");
    const other = await loadDecoder("grouped");
    expect(await refusal(() => mergeAdapter(other.weights, adapter))).toMatch(
      /^using an adapter: model\.layers\.0\.\S+: expected \[\d+, \d+\], got \[\d+,\d+\] \(the adapter is damaged, or belongs to another model\)$/,
    );
    const without = (name: string) => new Map([...adapter.weights].filter(([key]) => key !== name));
    const half = without("model.layers.1.mlp.up_proj.lora_B.weight");
    expect(await refusal(() => mergeAdapter(weights, { ...adapter, weights: half }))).toContain(
      "model.layers.1.mlp.up_proj.lora_B.weight: expected a tensor, got none",
    );
    const rows = without("lm_head.token_adapter.trainable_tokens_delta");
    expect(await refusal(() => mergeAdapter(weights, { ...adapter, weights: rows }))).toContain("lm_head");
    const { headTokens: _, ...config } = adapter.config;
    expect(await refusal(() => mergeAdapter(weights, { ...adapter, config }))).toContain("lm_head");
    const beyond = { ...adapter, config: { ...adapter.config, embeddingTokens: [60, 61, 64] } };
    expect(await refusal(() => mergeAdapter(weights, beyond))).toContain("tokens up to 64");
    const ranked = { ...adapter, config: { ...adapter.config, lora: { ...adapter.config.lora!, rank: 4 } } };
    expect(await refusal(() => mergeAdapter(weights, ranked))).toContain("expected rank 4");
  });

  test("a quantized model", async () => {
    const adapter = await readAdapterFolder(join(fixtures, "lora"));
    const { weights } = await loadDecoder("plain");
    const name = "model.layers.0.mlp.up_proj.weight";
    const codes: Initializer = { dtype: "uint8", shape: [48, 1, 16], data: new Uint8Array(768) };
    const message = await refusal(() => mergeAdapter(new Map([...weights, [name, codes]]), adapter));
    expect(message).toContain(`expected a model with plain weights, got quantized ones at ${name}`);
  });
});
