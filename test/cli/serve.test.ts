/** @file `xprompt serve` as a process: its key, its end, and its refusals. */
import { expect, onTestFinished, test } from "vitest";
import { bin, start, workplace } from "./kit.ts";

const { folder, xprompt, refused } = await workplace();

test("a server asks for the key in XPROMPT_API_KEY, and SIGTERM ends it with status 0", async () => {
  const running = start(process.execPath, [bin, "serve", "--model", "tiny", "--port", "0"], {
    cwd: folder,
    env: { ...process.env, XPROMPT_API_KEY: "secret" },
  });
  onTestFinished(() => void running.child.kill("SIGKILL"));
  const [, url] = await running.says(/serving tiny at (http:\/\/127\.0\.0\.1:\d+) /);
  const statusWith = async (headers?: HeadersInit) => (await fetch(`${url}/v1/models`, { headers })).status;
  expect(await statusWith()).toBe(401);
  expect(await statusWith({ authorization: "Bearer public" })).toBe(401);
  expect(await statusWith({ authorization: "Bearer secret" })).toBe(200);
  running.child.kill("SIGTERM");
  expect(await running.ended).toMatchObject({ status: 0, signal: null, stdout: "" });
});

test.each<[string, 1 | 2, string[], string]>([
  [
    "a new key without a file for it",
    2,
    ["--new-key", "a"],
    "--new-key: expected --keys with it, got it alone",
  ],
  [
    "two libraries of one name",
    2,
    ["--model", "tiny", "--library", "one/books", "two/books"],
    "--library: expected different names, got books twice (use NAME=PLACE)",
  ],
])("refused in one line: %s", async (_name, status, args, says) => {
  await refused(() => xprompt("serve", ...args), status, says);
});
