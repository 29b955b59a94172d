import { expect, test } from "vitest";
import { Once } from "../../src/runtime/once.ts";

test("is computed once, even for concurrent calls, and only on demand", async () => {
  let made = 0;
  const once = new Once(async () => ++made);
  expect(await once.ifMade()).toBeUndefined();
  expect(made).toBe(0);
  expect(await Promise.all([once.get(), once.get()])).toEqual([1, 1]);
  expect(await once.get()).toBe(1);
  expect(await once.ifMade()).toBe(1);
});

test("a failure reaches all waiting callers, and the next call tries again", async () => {
  let calls = 0;
  const once = new Once(async () => {
    if (++calls === 1) throw new Error("not yet");
    return "there";
  });
  const results = await Promise.allSettled([once.get(), once.get(), once.ifMade()]);
  expect(results.map(({ status }) => status)).toEqual(["rejected", "rejected", "fulfilled"]);
  expect(await once.ifMade()).toBeUndefined();
  expect(await once.get()).toBe("there");
  expect(calls).toBe(2);
});
