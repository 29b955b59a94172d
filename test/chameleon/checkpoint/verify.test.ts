import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startVerifying } from "../../../src/chameleon/checkpoint/verify.ts";
import { onceVerified } from "../../../src/runtime/verified.ts";

const bytes = Buffer.alloc(5_000_000, "weights");
const right = createHash("sha256").update(bytes).digest("hex");
const wrong = right.replace(/./, (digit) => (digit === "0" ? "1" : "0"));
const damage = /^reading weights .*model\.safetensors: expected the checksum in config\.json, got another/;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "verify-"));
  writeFileSync(join(folder, "model.safetensors"), bytes);
});
afterAll(() => rmSync(folder, { recursive: true }));

describe.each([
  ["small", bytes.length + 1],
  ["large", bytes.length],
])("a %s file", (_size, large) => {
  const start = (checksum: string, path = folder) => startVerifying(path, checksum, large);

  test("the right checksum", async () => {
    await (await start(right)).verified;
  });
  test("a wrong checksum rejects the promise", async () => {
    const { verified } = await start(wrong);
    // By now the first has failed, too: an unhandled rejection would end the test run.
    await expect((await start(wrong)).verified).rejects.toThrow(damage);
    await new Promise(setImmediate);
    await expect(verified).rejects.toThrow(damage);
  });
  test("so does a file that is not there", async () => {
    await expect((await start(right, join(folder, "absent"))).verified).rejects.toThrow("model.safetensors");
  });
});

test("without a checksum nothing is read", async () => {
  await (await startVerifying(join(folder, "absent"), undefined)).verified;
});

describe("onceVerified", () => {
  const made = () => {
    const model = {
      isReleased: false,
      release: async () => {
        model.isReleased = true;
      },
    };
    return model;
  };
  const damaged = () => Promise.reject(new Error("damaged"));

  test("waits for the verification", async () => {
    const events: string[] = [];
    const verified = new Promise<void>((resolve) => setTimeout(resolve, 50)).then(
      () => void events.push("verified"),
    );
    const model = made();
    expect(await onceVerified(Promise.resolve(model), { verified })).toBe(model);
    expect([events, model.isReleased]).toEqual([["verified"], false]);
  });
  test("releases what was made of damaged data", async () => {
    const model = made();
    await expect(onceVerified(Promise.resolve(model), { verified: damaged() })).rejects.toThrow("damaged");
    expect(model.isReleased).toBe(true);
  });
  test("reports damage rather than what it caused, and other errors as they are", async () => {
    const failed = () => Promise.reject(new Error("caused"));
    await expect(onceVerified(failed(), { verified: damaged() })).rejects.toThrow("damaged");
    await expect(onceVerified(failed(), {})).rejects.toThrow("caused");
  });
});
