/** @file Reading checkpoints, compared with PyTorch; see test/fixtures/pytorch/make.py. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { XPromptError } from "../../src/errors.ts";
import { Random } from "../../src/random.ts";
import { PyTorchFile } from "../../src/runtime/pytorch.ts";

const fixture = (name: string) => fileURLToPath(new URL(`../fixtures/pytorch/${name}`, import.meta.url));
const expected: Record<string, { dtype: string; shape: number[]; data: number[] }> = JSON.parse(
  await readFile(fixture("expected.json"), "utf8"),
);

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "pytorch-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function lineOf(path: string): Promise<string> {
  const error = await PyTorchFile.open(path).then(
    (file) => file.close(),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(XPromptError);
  const { message } = error as XPromptError;
  expect(message).not.toContain("\n");
  expect(message).toContain(`reading checkpoint ${path}: `);
  return message;
}

const types: Record<string, string> = {
  float32: "F32",
  float16: "F16",
  bfloat16: "BF16",
  int64: "I64",
  bool: "BOOL",
};

describe("reads checkpoints written by PyTorch", () => {
  test.each([
    "lightning.ckpt",
    "protocol4.ckpt",
    "protocol5.ckpt",
    "plain.pt",
    "big-endian.ckpt",
    "zip64.ckpt",
  ])("%s", async (name) => {
    const file = await PyTorchFile.open(fixture(name));
    expect([...file.tensors.keys()]).toEqual(Object.keys(expected));
    for (const [key, { dtype, shape, data }] of Object.entries(expected)) {
      expect(file.tensors.get(key), key).toMatchObject({ dtype: types[dtype], shape });
      const { bytes } = await file.read(key);
      if (dtype === "int64") expect([...new BigInt64Array(bytes.buffer)].map(Number)).toEqual(data);
      else if (dtype === "bool") expect([...bytes].map(Boolean)).toEqual(data);
      else expect([...(await file.readFloat32(key))], key).toEqual(data.map(Math.fround));
    }
    await expect(file.readFloat32("long")).rejects.toThrow(/"long".*expected F32, F16 or BF16, got I64/);
    await expect(file.read("other")).rejects.toThrow(/"other".*got 14 others/);
    await file.close();
  });
});

describe("refuses, in one line and before any tensor is read", () => {
  test.each([
    ["runs.ckpt", /"bad": expected a tensor, got an object of posix\.system, which is never called/],
    ["inst.ckpt", /expected data opcodes.*got the opcode STRING \(0x53\)/],
    ["sparse.ckpt", /"sparse": expected a tensor, got an object of torch\._utils\._rebuild_sparse_tensor/],
    ["bare.ckpt", /got a bare pickle, as before PyTorch 1\.6 \(torch\.load it/],
    ["packed.ckpt", /expected (byteorder|data\.pkl) uncompressed, got it compressed/],
    ["beyond.ckpt", /expected a tensor within the 2 values of its storage, got value 2/],
    ["short.ckpt", /expected data\/0 with at least 8 bytes, got 4/],
    ["make.py", /expected a zip of torch\.save, got something else/],
    ["nowhere.ckpt", /no such file/],
    [".", /expected a file, got/],
  ])("%s", async (name, message) => {
    expect(await lineOf(fixture(name))).toMatch(message);
  });

  test("a file that is cut off anywhere", async () => {
    const whole = await readFile(fixture("lightning.ckpt"));
    const path = join(folder, "cut.ckpt");
    for (const length of [0, 3, 30, 1000, whole.length - 1, whole.length - 30]) {
      await writeFile(path, whole.subarray(0, length));
      expect(await lineOf(path)).toMatch(/cut off|something else|empty file/);
    }
  });

  test("flipped bits give either tensors or an error of one line", async () => {
    const path = join(folder, "flipped.ckpt");
    let refusals = 0;
    for (let trial = 0; trial < 40; trial++) {
      const random = Random.of("flip", trial);
      const bytes = await readFile(fixture(trial % 2 ? "plain.pt" : "protocol4.ckpt"));
      for (let i = 0; i < 4; i++) bytes[random.integer(0, bytes.length - 1)]! ^= 1 << random.integer(0, 7);
      await writeFile(path, bytes);
      try {
        const file = await PyTorchFile.open(path);
        try {
          for (const name of file.tensors.keys()) await file.read(name);
        } finally {
          await file.close();
        }
      } catch (error) {
        expect(error).toBeInstanceOf(XPromptError);
        refusals++;
      }
    }
    expect(refusals).toBeGreaterThan(5);
  });
});
