/** @file What ends `xprompt train`: the user, or an error. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { trainCommand } from "../../src/cli/train.ts";
import { Interrupted, XPromptError } from "../../src/errors.ts";
import { Recorder } from "../../src/training/run/recorder.ts";
import { writeTinyModel } from "../fixtures/xprompt/kit.ts";

test.each([
  [
    "Ctrl-C",
    undefined,
    Interrupted,
    /^interrupted: .* holds the progress so far \(continue with --resume\)$/,
  ],
  ["a full disk after Ctrl-C", new XPromptError("the disk is full"), XPromptError, /^the disk is full$/],
] as const)("%s", async (_, failure, kind, message) => {
  const folder = await mkdtemp(join(tmpdir(), "xprompt-train-command-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  vi.spyOn(process.stderr, "write").mockReturnValue(true);
  onTestFinished(() => void vi.restoreAllMocks());
  await writeTinyModel(join(folder, "tiny"));
  const recipe = {
    ...{ kind: "transformer", steps: 4, init: join(folder, "tiny"), contexts: 1, todos: 1, workers: 0 },
    ...{ threads: 1, heldOutBatches: 1, checkpointEvery: 1, mix: { families: ["invert"], describe: 0 } },
  };
  await writeFile(join(folder, "recipe.mjs"), `export default ${JSON.stringify(recipe)};\n`);
  const interrupt = new AbortController();
  const save = Recorder.prototype.save;
  vi.spyOn(Recorder.prototype, "save").mockImplementation(async function (this: Recorder<unknown>) {
    if (interrupt.signal.aborted && failure) throw failure;
    const saved = await save.call(this);
    interrupt.abort(new Interrupted());
    return saved;
  });
  const args = [join(folder, "recipe.mjs"), "--out", join(folder, "run")];
  const ended = trainCommand(interrupt.signal).parseAsync(args, { from: "user" });
  const error: Error = await ended.then(
    () => new Error("trained"),
    (thrown) => thrown,
  );
  expect(error.constructor).toBe(kind);
  expect(error.message).toMatch(message);
});
