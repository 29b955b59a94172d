/** @file Admission to a batch, and its order. */
import { expect, test, vi } from "vitest";
import { Admission, type BatchNeed } from "../../../src/chameleon/model/admission.ts";
import { sequencesMemory } from "../../../src/chameleon/model/memory.ts";
import { XPromptError } from "../../../src/errors.ts";
import { tiny } from "../../fixtures/chameleon/kit.ts";

const need = (rows: number, more: Partial<BatchNeed> = {}): BatchNeed => ({
  doing: "generating",
  rows,
  slots: 40,
  ...more,
});

/** Lets requests enter in order, and records the admitted ones. */
async function queue(admission: Admission, needs: readonly BatchNeed[]) {
  const admitted: BatchNeed[] = [];
  const work = needs.map((each) => admission.enter(each).then(() => admitted.push(each)));
  await settled();
  return { admitted, work };
}

/** Waits until no request can proceed without another leaving. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

test("a request that does not fit waits, and none overtakes it", async () => {
  const admission = new Admission(tiny, { maxRows: 3, maxBytes: 1e9 });
  const [a, b, c, d] = [need(2), need(2), need(1), need(3)];
  const { admitted } = await queue(admission, [a, b, c, d]);
  // c would fit beside a, but b was first.
  expect(admitted).toEqual([a]);
  admission.leave(a);
  await settled();
  expect(admitted).toEqual([a, b, c]);
  admission.leave(b);
  await settled();
  expect(admitted).toEqual([a, b, c]);
  admission.leave(c);
  await settled();
  expect(admitted).toEqual([a, b, c, d]);
});

test("bytes count all rows at the length of the longest", async () => {
  const maxBytes = sequencesMemory(tiny, 3, 40);
  expect(sequencesMemory(tiny, 3, 40, 16)).toBeGreaterThan(maxBytes);
  const admission = new Admission(tiny, { maxRows: 100, maxBytes });
  const [short, long, other] = [need(1, { slots: 10 }), need(2), need(1, { slots: 10 })];
  const { admitted } = await queue(admission, [short, long, other]);
  expect(admitted).toEqual([short, long]);
  admission.leave(short);
  await settled();
  expect(admitted).toEqual([short, long, other]);
});

test("more rows than the limit are admitted alone, more bytes never", async () => {
  const admission = new Admission(tiny, { maxRows: 2, maxBytes: sequencesMemory(tiny, 5, 40) });
  const [one, five] = [need(1), need(5)];
  const { admitted } = await queue(admission, [one, five]);
  expect(admitted).toEqual([one]);
  admission.leave(one);
  await settled();
  expect(admitted).toEqual([one, five]);
  await expect(admission.enter(need(6))).rejects.toThrow(XPromptError);
  await expect(admission.enter(need(6))).rejects.toMatchObject({ code: "ERR_MEMORY" });
  await expect(admission.enter(need(6))).rejects.toThrow(
    /^generating: expected at most .* for a batch, got .* for 6 sequences of 40 tokens/,
  );
});

test("an aborted request leaves the queue at once, and lets those behind it pass", async () => {
  const admission = new Admission(tiny, { maxRows: 2, maxBytes: 1e9 });
  const controller = new AbortController();
  const [a, b, c] = [need(1), need(2, { signal: controller.signal }), need(1)];
  const { admitted, work } = await queue(admission, [a, b, c]);
  expect(admitted).toEqual([a]);
  const reason = new Error("enough");
  controller.abort(reason);
  await expect(work[1]).rejects.toBe(reason);
  await settled();
  expect(admitted).toEqual([a, c]);
  await expect(admission.enter(b)).rejects.toBe(reason);
});

test("without a limit of bytes, half of the memory that there is", async () => {
  vi.stubEnv("XPROMPT_MEMORY_LIMIT", String(2 * sequencesMemory(tiny, 3, 40)));
  try {
    const admission = new Admission(tiny, { maxRows: 100 });
    await expect(admission.enter(need(4))).rejects.toThrow("for a batch");
    await admission.enter(need(3));
  } finally {
    vi.unstubAllEnvs();
  }
});
