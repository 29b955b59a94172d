import { expect, test } from "vitest";
import { oneLine } from "../../src/cli/output.ts";

test("text from outside is one line, and neither steers a terminal nor reorders what is read", () => {
  expect(oneLine("a\n b\u2028c")).toBe("a b c");
  expect(oneLine("red\u001b[31m")).toBe("red�[31m");
  for (const control of ["\u202e", "\u2066", "\u200f", "\u061c"])
    expect(oneLine(`photo${control}gnp.exe`)).toBe("photo�gnp.exe");
  expect(oneLine("שלום, naïve 猫")).toBe("שלום, naïve 猫");
});
