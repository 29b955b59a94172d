import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { type Embedder, ExampleLibrary } from "../../src/retrieval/index.ts";
import { start } from "../cli/kit.ts";
import { picture, temporaryFolder } from "./kit.ts";

const writer = fileURLToPath(new URL("../fixtures/retrieval/writer.ts", import.meta.url));
const embedder: Embedder = {
  space: "test",
  textWidth: 4,
  imageWidth: 2,
  text: async () => Float32Array.of(1, 0, 0, 0),
  image: async () => Float32Array.of(1, 0),
};

test("a writer killed at any moment loses no example that it reported as added", async () => {
  const place = join(await temporaryFolder(), "library");
  const said = new Set<string>();
  // Each time at another moment of an addition: some milliseconds after a report.
  for (const [round, moment] of [0, 7, 29].entries()) {
    const running = start(process.execPath, ["--import", "tsx", writer, place, String(1000 * round)]);
    await new Promise<void>((resolve, reject) => {
      running.child.stdout!.on("data", (data: Buffer) => {
        for (const line of String(data).trim().split("\n")) said.add(`example ${line}`);
        if (said.size % 3 === 0) setTimeout(() => resolve(void running.child.kill("SIGKILL")), moment);
      });
      running.ended.then(({ stderr }) => reject(new Error(stderr)), reject);
    });
    expect((await running.ended).signal).toBe("SIGKILL");
    const library = await ExampleLibrary.open(place);
    const there = (await library.list({ limit: 1000 })).map(({ instruction }) => instruction);
    expect(there).toEqual(expect.arrayContaining([...said]));
    // At most the addition in progress is there as well, and nothing twice.
    expect(new Set(there).size).toBe(there.length);
    expect(there.length).toBeLessThanOrEqual(said.size + round + 1);
  }
  const library = await ExampleLibrary.open(place);
  const input = await picture("next");
  expect(await library.add([{ input, output: input, instruction: "next" }], embedder)).toMatchObject({
    added: 1,
  });
  expect(await library.lacking(embedder)).toBe(0);
  let examples = 0;
  for await (const some of library.examples()) examples += some.length;
  expect(examples).toBeGreaterThan(said.size);
});
