import { expect, test } from "vitest";
import { UsageError, XPromptError } from "../src/errors.ts";

test("a message that a broken file makes endless keeps its beginning and its end", () => {
  for (const kind of [XPromptError, UsageError]) {
    const { message } = new kind(`reading a file: ${"x".repeat(1_000_000)}: expected a name (copy it again)`);
    expect(message.length).toBeLessThan(2100);
    expect(message).toMatch(/^reading a file: x+ … x+: expected a name \(copy it again\)$/);
  }
  expect(new XPromptError("reading a file").message).toBe("reading a file");
});
