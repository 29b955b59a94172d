import { afterEach, expect, test, vi } from "vitest";
import { XPromptError } from "../../../src/errors.ts";
import { trainingMemory } from "../../../src/training/run/memory.ts";

const MIB = 2 ** 20;
afterEach(() => vi.unstubAllEnvs());

const needing = (available: number, device: "cpu" | "cuda" = "cpu") => {
  vi.stubEnv("XPROMPT_MEMORY_LIMIT", String(available));
  return trainingMemory({ kind: "toy", device }, 50 * MIB, [[150 * MIB], [100 * MIB, 200 * MIB]]);
};

test("every batch shape has an arena if there is enough memory", async () => {
  expect(await needing(770 * MIB)).toEqual({ bytes: 770 * MIB, arena: true });
});

test("otherwise they share the memory of the largest", async () => {
  for (const available of [770 * MIB - 1, 630 * MIB])
    expect(await needing(available)).toEqual({ bytes: 630 * MIB, arena: false });
});

test("too little memory is refused with the figures", async () => {
  const refused = needing(630 * MIB - 1);
  await expect(refused).rejects.toThrow(XPromptError);
  await expect(refused).rejects.toMatchObject({ code: "ERR_MEMORY" });
  await expect(refused).rejects.toThrow(
    /^training toy: expected 630\.0 MiB of memory \(weights and moments 50\.0 MiB\), got 630\.0 MiB available \(make batches or the model smaller/,
  );
});

test("the memory of GPUs is not checked", async () => {
  expect(await needing(0, "cuda")).toEqual({ bytes: 770 * MIB, arena: true });
});
