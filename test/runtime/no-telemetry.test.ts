/** @file What onnxruntime leaves in a home folder tells whether its telemetry has started. */
import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { bin, repository } from "../built.ts";

const pair = ["before", "after"].map((name) => `examples/seen/depth/${name}.png`);

/** The files that a command leaves in an empty home folder. */
async function leftAtHome(more: NodeJS.ProcessEnv): Promise<string[]> {
  const home = await mkdtemp(join(tmpdir(), "xprompt-home-"));
  const { CI: _, ORT_DISABLE_TELEMETRY: __, XDG_CACHE_HOME: ___, ...rest } = process.env;
  const args = [bin, "describe", "--example", ...pair];
  try {
    await promisify(execFile)(process.execPath, args, {
      cwd: repository,
      env: { ...rest, HOME: home, ...more },
    });
    return await readdir(home, { recursive: true });
  } finally {
    await rm(home, { recursive: true });
  }
}

test("onnxruntime's telemetry is off, unless the environment asks for it", async () => {
  expect(await leftAtHome({})).toEqual([]);
  if (process.platform === "linux")
    expect((await leftAtHome({ ORT_DISABLE_TELEMETRY: "0" })).join()).toContain("onnxruntime");
});
