import { describe, expect, test } from "vitest";
import { abortable, untilAborted } from "../../src/runtime/abort.ts";

describe("abortable", () => {
  test("gives the result, or the error of the work", async () => {
    const { signal } = new AbortController();
    expect(await abortable(Promise.resolve(1), signal)).toBe(1);
    expect(await abortable(Promise.resolve(2), undefined)).toBe(2);
    await expect(abortable(Promise.reject(new Error("broken")), signal)).rejects.toThrow("broken");
  });

  test("throws the reason of an abort before or during the work", async () => {
    const controller = new AbortController();
    const waiting = abortable(new Promise(() => {}), controller.signal);
    controller.abort(new Error("gone"));
    await expect(waiting).rejects.toThrow("gone");
    await expect(abortable(Promise.resolve(1), controller.signal)).rejects.toThrow("gone");
  });

  test("goes on after an abort that does not count", async () => {
    const controller = new AbortController();
    let finish = (_value: number) => {};
    const work = new Promise<number>((resolve) => {
      finish = resolve;
    });
    const waiting = abortable(work, controller.signal, () => false);
    controller.abort(new Error("gone"));
    finish(3);
    expect(await waiting).toBe(3);
  });
});

test("untilAborted resolves at an abort, also at one that was before", async () => {
  const controller = new AbortController();
  let done = false;
  const waiting = untilAborted(controller.signal).then(() => {
    done = true;
  });
  await Promise.resolve();
  expect(done).toBe(false);
  controller.abort();
  await waiting;
  await untilAborted(controller.signal);
  expect(done).toBe(true);
});
