/** @file Server-sent events as they arrive, in pieces. */
import { expect, test } from "vitest";
import { type Event, eventsOf } from "../../src/server/events.ts";

const text = ': waiting\n\nevent: a\ndata: "é"\n\n\ndata: 1\ndata: 2\n\ndata: cut off';

test.each([1, 2, 3, 7, 1000])("events are the same in pieces of %i bytes", async (length) => {
  const bytes = new TextEncoder().encode(text);
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (let at = 0; at < bytes.length; at += length) controller.enqueue(bytes.slice(at, at + length));
      controller.close();
    },
  });
  const events: Event[] = [];
  for await (const event of eventsOf(body)) events.push(event);
  expect(events).toEqual([
    { name: "a", data: '"é"' },
    { name: "", data: "1\n2" },
  ]);
});
