import { afterAll, expect, test } from "vitest";
import { ExampleLibrary } from "../../src/retrieval/index.ts";
import { wordEmbedder as embedder, example } from "./kit.ts";
import { startObjectStore } from "./s3-server.ts";

const store = await startObjectStore();
afterAll(() => store.close());
const { storageOptions } = store;
const place = "s3://bucket/library";
const examples = [await example("a", "remove the rain"), await example("b", "add a red ball")];
const byText = { text: 1, image: 0, words: 0 };

test("a library on object storage is that of a folder, for readers and two writers in turn", async () => {
  await expect(ExampleLibrary.open(place, { storageOptions })).rejects.toThrow(
    "expected an example library, found none",
  );
  const first = await ExampleLibrary.open(place, { create: true, storageOptions });
  expect(await first.add(examples.slice(0, 1), embedder)).toMatchObject({ added: 1 });
  const second = await ExampleLibrary.open(place, { create: true, storageOptions });
  expect(await second.add(examples, embedder)).toMatchObject({ added: 1, known: 1 });
  // No lock excludes a second writer here: the first one notices the additions of the other.
  expect(await first.add(examples, embedder)).toMatchObject({ added: 0, known: 2 });

  const reader = await ExampleLibrary.open(place, { storageOptions });
  expect(await reader.count()).toBe(2);
  const [found] = await reader.search({ instruction: "remove it" }, embedder, byText, 1);
  expect(found).toMatchObject({ instruction: "remove the rain" });
  const { input, output } = await reader.get(found!.id);
  expect([Buffer.from(input), Buffer.from(output)]).toEqual([examples[0]!.input, examples[0]!.output]);
  const words = { text: 0, image: 0, words: 1 };
  const [word] = await reader.search({ instruction: "ball" }, undefined, words, 1);
  expect(word).toMatchObject({ instruction: "add a red ball" });
  expect([...store.objects.keys()].every((key) => key.startsWith("bucket/library/"))).toBe(true);
});

test("unreachable storage is an error of one line", async () => {
  const away = { ...storageOptions, endpoint: "http://127.0.0.1:1", client_max_retries: "0" };
  const opening = ExampleLibrary.open(place, { storageOptions: { ...away, connect_timeout: "1s" } });
  await expect(opening).rejects.toThrow(/^using example library s3:.*got: [^\n]*\(check the path/);
});
