/** @file `xprompt serve` as a process: its key, its end, and its refusals. */
import { expect, onTestFinished, test } from "vitest";
import { limitsOf } from "../../src/cli/serve.ts";
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

test("each option bounds what it says, in its unit", () => {
  const options = {
    parallel: 2,
    queue: 3,
    perClient: 5,
    timeLimit: 7,
    grace: 11,
    maxBody: 100,
    maxPixels: 17,
  };
  expect(limitsOf(options)).toEqual({
    ...{ width: 2, depth: 3, perClient: 5, timeLimit: 7, grace: 11 },
    ...{ body: 100 * 2 ** 20, bodies: 800 * 2 ** 20, pixels: 17e6 },
  });
});

test("--new-key prints a key, which a server with the same key file accepts", async () => {
  const told = await xprompt("serve", "--keys", "keys.txt", "--new-key", "alice");
  expect(told).toMatchObject({ status: 0 });
  const key = told.stdout.trim();
  expect(key).toMatch(/^\S{16,}$/);
  const running = start(
    process.execPath,
    [bin, "serve", "--model", "tiny", "--port", "0", "--keys", "keys.txt", "--max-body", "1"],
    { cwd: folder },
  );
  onTestFinished(() => void running.child.kill("SIGKILL"));
  const [, url] = await running.says(/serving tiny at (http:\/\/127\.0\.0\.1:\d+) /);
  const statusOf = async (body: string, headers?: Record<string, string>) =>
    (
      await fetch(`${url}/v1/images/generations`, {
        method: "POST",
        body,
        headers: { "content-type": "application/json", ...headers },
      })
    ).status;
  const withKey = { authorization: `Bearer ${key}` };
  expect(await statusOf('{"prompt": "a cube"}')).toBe(401);
  expect(await statusOf('{"prompt": "a cube"}', withKey)).toBe(200);
  expect(await statusOf(JSON.stringify({ prompt: "x".repeat(2 ** 20) }), withKey)).toBe(413);
});

test.each<[string, 1 | 2, string[], string]>([
  [
    "a new key without a file for it",
    2,
    ["--new-key", "a"],
    "--new-key: expected --keys with it, got it alone",
  ],
  [
    "an origin that is a name alone",
    2,
    ["--model", "tiny", "--origin", "example.org"],
    "--origin: expected an origin such as https://example.org, got example.org",
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
