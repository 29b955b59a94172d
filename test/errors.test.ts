import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { type ErrorCode, Interrupted, messageOf, UsageError, XPromptError } from "../src/errors.ts";
import { loadOptional } from "../src/optional.ts";
import { readJson, writeFolderAtomic } from "../src/runtime/files.ts";
import { requireRoom } from "../src/runtime/memory.ts";
import { XPrompt } from "../src/xprompt/model.ts";

test("a message that a broken file makes endless keeps its beginning and its end", () => {
  for (const kind of [XPromptError, UsageError]) {
    const { message } = new kind(`reading a file: ${"x".repeat(1_000_000)}: expected a name (copy it again)`);
    expect(message.length).toBeLessThan(2100);
    expect(message).toMatch(/^reading a file: x+ … x+: expected a name \(copy it again\)$/);
  }
  expect(new XPromptError("reading a file").message).toBe("reading a file");
});

describe("codes", () => {
  test("each class has its own", () => {
    expect(new XPromptError("reading").code).toBe("ERR_INPUT");
    expect(new UsageError("generating").code).toBe("ERR_USAGE");
    expect(new Interrupted().code).toBe("ERR_INTERRUPTED");
    expect(new XPromptError("reading", { code: "ERR_FILE" }).code).toBe("ERR_FILE");
  });

  test("an error that adds to the message of another keeps its code", () => {
    const cause = new XPromptError("no room", { code: "ERR_MEMORY" });
    expect(new XPromptError(`loading: ${messageOf(cause)}`, { cause }).code).toBe("ERR_MEMORY");
    expect(new XPromptError("loading", { cause: new Error("none") }).code).toBe("ERR_INPUT");
  });

  /** A folder that must not be replaced. */
  const taken = mkdtempSync(join(tmpdir(), "xprompt-errors-"));
  writeFileSync(join(taken, "notes.txt"), "mine");
  afterAll(() => rmSync(taken, { recursive: true }));
  const failures: [ErrorCode, () => Promise<unknown>][] = [
    ["ERR_FILE", () => readJson("nowhere/none.json", z.unknown(), "config")],
    ["ERR_FILE", () => writeFolderAtomic(taken, async () => {})],
    ["ERR_INPUT", () => readJson("README.md", z.unknown(), "config")],
    ["ERR_MEMORY", () => requireRoom("running", 1e18, "all", "take less")],
    ["ERR_PACKAGE", () => loadOptional("reading", "left@1", () => import("no-such-package" as string))],
    ["ERR_USAGE", () => XPrompt.load("nano", { thread: 1 } as object)],
  ];
  test.each(failures)("%s", async (code, work) => {
    const error = await work().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(XPromptError);
    expect(error).toHaveProperty("code", code);
  });
});
