import { mkdtemp, rename, rm, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { XPromptError } from "../../src/errors.ts";
import { writeSafetensors } from "../../src/runtime/safetensors.ts";
import { openWeights } from "../../src/runtime/weights.ts";

let folder: string;
const index = "model.safetensors.index.json";

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "weights-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function writeShard(file: string, values: Record<string, number[]>, metadata = {}): Promise<void> {
  const tensors = Object.entries(values).map(([name, data]) => ({
    name,
    dtype: "F16" as const,
    shape: [data.length],
    data: Float32Array.from(data),
  }));
  await writeSafetensors(join(folder, file), tensors, metadata);
}

async function writeIndex(map: unknown): Promise<void> {
  await writeFile(join(folder, index), JSON.stringify({ metadata: { total_size: 1 }, weight_map: map }));
}

test("one file: as a folder, or by its own path", async () => {
  await writeShard("model.safetensors", { a: [1, 2], b: [3] }, { made: "here" });
  for (const path of [folder, join(folder, "model.safetensors")]) {
    const weights = await openWeights(path);
    expect([...weights.tensors.keys()]).toEqual(["a", "b"]);
    expect(weights.metadata).toEqual({ made: "here" });
    expect(await weights.readFloat32("a")).toEqual(Float32Array.of(1, 2));
    expect((await weights.read("b")).dtype).toBe("F16");
    await expect(weights.read("c")).rejects.toThrow(/tensor "c" .*got 2 others/);
    await weights.close();
  }
});

test("shards: each tensor comes from the file that the index names", async () => {
  await writeShard("1.safetensors", { a: [1], both: [-1] });
  await writeShard("2.safetensors", { b: [2], both: [-2], unlisted: [9] });
  await writeIndex({ a: "1.safetensors", b: "2.safetensors", both: "2.safetensors" });
  const weights = await openWeights(folder);
  expect([...weights.tensors.keys()].sort()).toEqual(["a", "b", "both"]);
  expect([...(await weights.readFloat32("a")), ...(await weights.readFloat32("both"))]).toEqual([1, -2]);
  await weights.close();
});

test.each<[string, RegExp, () => Promise<void>]>([
  ["a missing shard", /2\.safetensors: .*no such file/, () => unlink(join(folder, "2.safetensors"))],
  [
    "a broken shard",
    /2\.safetensors: expected 8 bytes/,
    () => writeFile(join(folder, "2.safetensors"), "oh"),
  ],
  [
    "a tensor that is elsewhere",
    /tensor "b" in 1\.safetensors, as the index says, got none/,
    () => writeIndex({ a: "1.safetensors", b: "1.safetensors" }),
  ],
  [
    "a path out of the folder",
    /expected names of files beside it, got "\.\.\/1/,
    () => writeIndex({ a: "../1.safetensors" }),
  ],
  [
    "a name with a NUL",
    /expected names of files beside it, got "a\\u0000b"/,
    () => writeIndex({ a: "a\0b" }),
  ],
  [
    "a name without end",
    /^.{0,300}expected names of files beside it, got "x{77,79}…$/,
    () => writeIndex({ a: "x".repeat(100_000) }),
  ],
  ["an index without a map", /index\.json: weight_map: expected an object/, () => writeIndex(undefined)],
  ["an index that is cut off", /expected JSON/, () => writeFile(join(folder, index), '{"weight_map": {')],
  [
    "no weights",
    /expected model\.safetensors or .*, got 1\.safetensors, 2\.safetensors \(/,
    () => unlink(join(folder, index)),
  ],
  ["no folder", /no such file/, () => rm(folder, { recursive: true })],
])("%s is known before anything is read", async (_, message, damage) => {
  await writeShard("1.safetensors", { a: [1] });
  await writeShard("2.safetensors", { b: [2] });
  await writeIndex({ a: "1.safetensors", b: "2.safetensors" });
  await damage();
  const error = await openWeights(folder).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(XPromptError);
  expect((error as XPromptError).message).toMatch(message);
});

test("a checkpoint is recovered after a kill during its replacement", async () => {
  await writeShard("model.safetensors", { a: [1] });
  const aside = join(tmpdir(), `.${folder.split("/").at(-1)}.999999999@01234567.0123abcd.old`);
  await rename(folder, aside);
  const weights = await openWeights(folder);
  expect(await weights.readFloat32("a")).toEqual(Float32Array.of(1));
  await weights.close();
});
