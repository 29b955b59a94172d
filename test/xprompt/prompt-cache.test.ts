/** @file What is made once for several that ask for it, and ends when none of them waits any more. */
import { expect, test } from "vitest";
import { VisualPrompt } from "../../src/xprompt/prompt.ts";
import { PromptCache } from "../../src/xprompt/prompt-cache.ts";

const prompt = VisualPrompt.of("model", []);

/** Makes a prompt when it is let, and rejects if it is aborted before. */
function maker() {
  const calls: { readonly signal: AbortSignal; finish(): void }[] = [];
  const make = (signal: AbortSignal) =>
    new Promise<VisualPrompt>((resolve, reject) => {
      calls.push({ signal, finish: () => resolve(prompt) });
      signal.addEventListener("abort", () => reject(signal.reason));
    });
  return { calls, make };
}

test("one that gives up does not end the work of another, who gets the prompt", async () => {
  const cache = new PromptCache(1000);
  const { calls, make } = maker();
  const impatient = new AbortController();
  const first = cache.getOrMake("key", make, impatient.signal);
  const second = cache.getOrMake("key", make);
  impatient.abort(new Error("enough"));
  await expect(first).rejects.toThrow("enough");
  expect(calls[0]!.signal.aborted).toBe(false);
  calls[0]!.finish();
  expect(await second).toBe(prompt);
  expect(await cache.getOrMake("key", make)).toBe(prompt);
  expect(calls).toHaveLength(1);
});

test("work that nobody waits for ends, and who asks then has it made anew", async () => {
  const cache = new PromptCache(1000);
  const { calls, make } = maker();
  const impatient = new AbortController();
  const first = cache.getOrMake("key", make, impatient.signal);
  impatient.abort(new Error("enough"));
  await expect(first).rejects.toThrow("enough");
  expect(calls[0]!.signal.aborted).toBe(true);
  const again = cache.getOrMake("key", make);
  expect(calls).toHaveLength(2);
  calls[1]!.finish();
  expect(await again).toBe(prompt);
});

test("a failure reaches all that wait, and is not kept", async () => {
  const cache = new PromptCache(1000);
  const fails = async () => Promise.reject(new Error("no picture"));
  const both = [cache.getOrMake("key", fails), cache.getOrMake("key", fails)];
  for (const each of both) await expect(each).rejects.toThrow("no picture");
  expect(await cache.getOrMake("key", async () => prompt)).toBe(prompt);
});
