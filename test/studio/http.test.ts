/** @file The studio's side of a server with keys and libraries, without a browser. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { ExampleLibrary } from "../../src/retrieval/index.ts";
import { Keys } from "../../src/server/keys.ts";
import { type Backend, KeyNeeded, type Run } from "../../studio/src/lib/backend.ts";
import { httpBackend } from "../../studio/src/lib/http/backend.ts";
import { watchRun } from "../../studio/src/lib/watch-run.ts";
import { example, temporaryFolder, wordEmbedder } from "../retrieval/kit.ts";
import { png, startServer, tinyEngine } from "../server/kit.ts";

const folder = await temporaryFolder();
const { engine } = await tinyEngine();
const pair = await example("a", "remove the rain");

async function libraryOf(name: string): Promise<ExampleLibrary> {
  const library = await ExampleLibrary.open(join(folder, name), { create: true });
  await library.add([pair, await example(name, `rain of ${name}`)], wordEmbedder);
  return library;
}

async function makeRun(): Promise<Buffer> {
  const sheets = join(folder, "runs", "one", "sheets");
  await mkdir(sheets, { recursive: true });
  await writeFile(join(sheets, "..", "recipe.json"), JSON.stringify({ steps: 1 }));
  const sheet = await png("sheet");
  await writeFile(join(sheets, "step-000001.png"), sheet);
  return sheet;
}

const sheet = await makeRun();
const { url } = await startServer(engine, {
  keys: Keys.of("secret"),
  libraries: new Map([
    ["first", await libraryOf("first")],
    ["second", await libraryOf("second")],
  ]),
  runs: join(folder, "runs"),
});
const tab = new Map<string, string>();
vi.stubGlobal("sessionStorage", {
  getItem: (name: string) => tab.get(name) ?? null,
  setItem: (name: string, text: string) => tab.set(name, text),
});
/** The browser's, as far as the studio uses it. */
class Reader {
  result = "";
  onload = () => {};

  async readAsDataURL(blob: Blob) {
    const base64 = Buffer.from(await blob.arrayBuffer()).toString("base64");
    this.result = `data:${blob.type};base64,${base64}`;
    this.onload();
  }
}
vi.stubGlobal("FileReader", Reader);
const backend = httpBackend(`${url}/`);
const bytesAt = async (address: string) => Buffer.from(await (await backend.picture(address)).arrayBuffer());

test("a key is asked for, and again when it is a wrong one; the gallery needs none", async () => {
  const refusal = () => backend.about().catch((error: unknown) => error);
  expect((await backend.gallery()).length).toBeGreaterThan(0);
  expect(await refusal()).toStrictEqual(new KeyNeeded("The server asks for a key."));
  // The last one has a character that no header can have.
  for (const key of ["wrong", "schlüssel→"]) {
    backend.useKey(key);
    expect(await refusal()).toStrictEqual(new KeyNeeded("The server does not know this key."));
  }
  expect([...tab.values()]).toEqual([]);
  backend.useKey("secret");
  expect(await backend.about()).toMatchObject({ model: "tiny", library: true });
  expect([...tab.values()]).toEqual(["secret"]);
});

test("a key is asked for whenever one is needed, also where the tab has kept one", async () => {
  tab.set("key", "revoked");
  const other = httpBackend(`${url}/`);
  const ask = vi.fn();
  other.onKeyNeeded(ask);
  await expect(other.search("rain")).rejects.toThrow(KeyNeeded);
  expect(ask.mock.calls).toEqual([["The server does not know this key."]]);
});

test("a pair of two libraries is found once, and its pictures can be fetched", async () => {
  const found = await backend.search("rain");
  expect(found.map(({ instruction }) => instruction).sort()).toEqual([
    "rain of first",
    "rain of second",
    "remove the rain",
  ]);
  const { before } = found.find(({ instruction }) => instruction === "remove the rain")!;
  expect(await bytesAt(before)).toEqual(pair.input);
});

test("a prompt file is made, looked at and drawn with, and none stays on the server", async () => {
  const blob = async (name: string) => new Blob([new Uint8Array(await png(name))], { type: "image/png" });
  const [before, after] = [await blob("before"), await blob("after")];
  const prompt = await backend.compile([{ before, after }]);
  expect(await backend.inspect(prompt)).toBe(1);
  const request = {
    ...{ examples: [], prompts: [prompt], input: before, instruction: "", seed: 3, samples: 1 },
    ...{ fullSize: true, exampleColours: false },
  };
  const kinds: string[] = [];
  for await (const event of backend.generate(request, new AbortController().signal)) {
    kinds.push(event.kind);
    if (event.kind === "finished")
      expect(event.notes).toEqual({ unread: 0, isColourMap: false, isMean: false });
  }
  expect(kinds.at(-1)).toBe("finished");
  const stored = await fetch(`${url}/v1/xprompts`, { headers: { authorization: "Bearer secret" } });
  expect((await stored.json()).data).toEqual([]);
});

test("pictures that together are too large for a request are refused at the largest", async () => {
  const blob = (bytes: number) => new Blob([new Uint8Array(bytes)], { type: "image/png" });
  const request = {
    ...{ examples: [{ before: blob(5e6), after: blob(5e6) }], prompts: [], input: blob(16e6) },
    ...{ instruction: "", seed: 3, samples: 1, fullSize: true, exampleColours: true },
  };
  const refused = backend.generate(request, new AbortController().signal)[Symbol.asyncIterator]().next();
  await expect(refused).rejects.toMatchObject({
    message: "All files together have 26 MB; the server takes 25 MB. Use smaller pictures, or JPEG files.",
    part: "input",
  });
});

test("the sheets of a run can be fetched, and the wait for one given up", async () => {
  expect.assertions(2);
  for await (const { sheets } of backend.watch("one", new AbortController().signal)) {
    const [{ picture }] = sheets as [(typeof sheets)[0]];
    expect(await bytesAt(picture)).toEqual(sheet);
    const given = AbortSignal.abort(new Error("given up"));
    await expect(backend.picture(picture, given)).rejects.toThrow("given up");
    break;
  }
});

test.each([
  ["begins again in its folder", [0, 10], 2],
  ["resumed from an earlier step, and has gone on beyond the last known one", [0, 10, 20, 30], 4],
  ["goes on", [0, 10, 20, 30], 1],
])("a run that %s is shown with its own lines alone", async (_, later, time) => {
  const run = join(folder, "runs", "one");
  const write = (steps: readonly number[], attempt: number) =>
    writeFile(
      join(run, "metrics.jsonl"),
      steps.map((step) => `${JSON.stringify({ step, time: step < 10 ? 1 : attempt, loss: 3 })}\n`).join(""),
    );
  const linesOf = (steps: readonly number[], attempt: number) =>
    steps.map((step) => [step, step < 10 ? 1 : attempt]);
  await write([0, 10, 20], 1);
  const seen: (readonly (readonly [step: number, time: number])[])[] = [];
  for await (const { metrics } of backend.watch("one", new AbortController().signal)) {
    seen.push(metrics.map((line) => [line.step, line.time]));
    if (seen.length === 2) break;
    await write(later, time);
  }
  expect(seen).toEqual([linesOf([0, 10, 20], 1), linesOf(later, time)]);
});

test("a run is watched again after a failure, until it is given up", async () => {
  vi.useFakeTimers();
  const stopping = new AbortController();
  const run = {} as Run;
  const watch = vi
    .fn<Backend["watch"]>()
    .mockImplementationOnce(() => {
      throw new Error("away");
    })
    .mockImplementation(async function* (_id, signal) {
      yield run;
      await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    });
  const [seen, failed] = [vi.fn(), vi.fn()];
  const watching = watchRun({ watch }, "one", stopping.signal, { seen, failed });
  await vi.advanceTimersByTimeAsync(2999);
  expect([seen, failed].map(({ mock }) => mock.calls)).toEqual([[], [[new Error("away")]]]);
  await vi.advanceTimersByTimeAsync(1);
  expect(seen.mock.calls).toEqual([[run]]);
  stopping.abort();
  await watching;
  vi.useRealTimers();
  expect(failed).toHaveBeenCalledTimes(1);
});
