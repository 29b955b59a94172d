import { expect, test } from "vitest";
import { createImage, toBytes } from "../../src/image/image.ts";
import { Random } from "../../src/random.ts";
import { atFullSize } from "../../src/xprompt/full-size.ts";
import { FullSizeThreads } from "../../src/xprompt/full-size-threads.ts";

const random = Random.of(1, "full size in threads");
const query = createImage(16, 16);
for (let i = 0; i < query.data.length; i++) query.data[i] = random.uniform();
const drawn = { ...query, data: query.data.map((value) => 1 - value) };
const large = createImage(40, 56);
for (let i = 0; i < large.data.length; i++) large.data[i] = random.uniform();
const original = { original: { ...large, data: toBytes(large) }, query };

test("threads give the same bytes as this thread", async () => {
  await using threads = new FullSizeThreads();
  const here = await atFullSize(original, { seen: query, drawn });
  const there = await Promise.all([1, 2, 3].map(() => threads.apply(original, { seen: query, drawn })));
  for (const result of there) expect(result).toEqual(here);
  expect(here.data).not.toEqual(original.original.data);
});

test("an abort ends the waiting; the threads go on with other results, also after an error", async () => {
  const threads = new FullSizeThreads();
  try {
    const stopped = new AbortController();
    const result = threads.apply(original, { seen: query, drawn }, stopped.signal);
    stopped.abort(new Error("enough"));
    await expect(result).rejects.toThrow("enough");
    await expect(threads.apply(original, { seen: query, drawn }, stopped.signal)).rejects.toThrow("enough");
    await expect(
      threads.apply(original, { seen: query, drawn: { ...drawn, data: undefined as never } }),
    ).rejects.toThrow("Cannot read properties of undefined");
    const { data } = await threads.apply(original, { seen: query, drawn }, new AbortController().signal);
    expect(data.length).toBe(40 * 56 * 3);
  } finally {
    await threads.close();
    await threads.close();
  }
  await expect(threads.apply(original, { seen: query, drawn })).rejects.toThrow("closed");
});
