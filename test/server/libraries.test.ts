/** @file Example libraries over HTTP. */
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { XPromptError } from "../../src/errors.ts";
import { ExampleLibrary } from "../../src/retrieval/index.ts";
import { example, temporaryFolder, wordEmbedder } from "../retrieval/kit.ts";
import { startServer, tinyEngine } from "./kit.ts";

const folder = await temporaryFolder();
const library = await ExampleLibrary.open(join(folder, "pairs"), { create: true });
await library.add([await example("a", "remove the rain"), await example("b", "a red ball")], wordEmbedder);
const { engine } = await tinyEngine();
const { ask } = await startServer(engine, { libraries: new Map([["pairs", library]]) });

test("examples are found by words, and their pictures are those that were added", async () => {
  const answer = await (await ask("/v1/libraries/pairs/examples?query=red")).json();
  expect(answer.data[0].instruction).toBe("a red ball");
  const picture = await ask(answer.data[0].after);
  expect(picture.headers.get("content-type")).toBe("image/png");
  const added = (await example("b", "a red ball")).output as Buffer;
  expect(Buffer.from(await picture.arrayBuffer()).equals(added)).toBe(true);
});

test("vectors are looked for once, and again for examples that were added; what is lacking is for the log alone", async () => {
  const lacking = vi.spyOn(library, "lacking").mockResolvedValueOnce(501);
  vi.spyOn(library, "count").mockResolvedValueOnce(501);
  const { lines, post } = await startServer(engine, { libraries: new Map([["pairs", library]]) });
  const draw = (prompt = "a red ball") => post("/v1/images/generations", { prompt, library: true, seed: 1 });
  const refused = await draw();
  expect(refused.status).toBe(500);
  expect(await refused.text()).not.toContain(folder);
  const trace = expect.stringMatching(/xprompt examples compile --library \/.*pairs/);
  expect(lines).toContainEqual(expect.objectContaining({ level: "error", trace }));

  lacking.mockClear();
  for (let i = 0; i < 2; i++) expect((await draw()).status).toBe(200);
  expect(lacking).toHaveBeenCalledTimes(1);

  const instruction = "add a dark cloud";
  await library.add([await example("c", instruction)], wordEmbedder);
  const { retrieved } = await (await draw(instruction)).json();
  expect(retrieved).toEqual([expect.objectContaining({ instruction })]);
  // A stream tells the same.
  const asked = { prompt: instruction, library: true, seed: 1, stream: true };
  const streamed = await (await post("/v1/images/generations", asked)).text();
  const last = JSON.parse(/data: (\{"type":"image_generation\.completed".*\})/.exec(streamed)![1]!);
  expect(last.retrieved).toEqual(retrieved);
});

test.each([
  ["an unknown library", "/v1/libraries/others/examples", "library_not_found"],
  ["an unknown example", `/v1/libraries/pairs/examples/${"0".repeat(32)}/before`, "example_not_found"],
])("%s is 404, and the message names no folder of the server", async (_what, path, code) => {
  const answer = await ask(path);
  expect(answer.status).toBe(404);
  const { error } = await answer.json();
  expect(error.code).toBe(code);
  expect(error.message).not.toContain(folder);
});

test("a damaged example is the server's fault, told in the log alone", async () => {
  const [id] = (await library.ids()) as [string];
  const { ask: askHere, lines } = await startServer(engine, { libraries: new Map([["pairs", library]]) });
  const broken = new XPromptError(`looking up example ${id}: expected ${folder} to be whole`);
  vi.spyOn(library, "find").mockRejectedValueOnce(broken);
  const answer = await askHere(`/v1/libraries/pairs/examples/${id}/before`);
  expect(answer.status).toBe(500);
  expect(await answer.text()).not.toContain(folder);
  expect(lines).toContainEqual(
    expect.objectContaining({ level: "error", trace: expect.stringContaining(folder) }),
  );
});
