/** @file Reads server-sent events. */

export interface Event {
  readonly name: string;
  readonly data: string;
}

/** The events of a stream as they arrive, without comments. */
export async function* eventsOf(body: ReadableStream<Uint8Array>): AsyncGenerator<Event> {
  const decoder = new TextDecoder();
  /** The event that is not complete yet. */
  let pieces: string[] = [];
  /** A line break that may be half of its end. */
  let held = "";
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const ends = (held + decoder.decode(value, { stream: true })).split("\n\n");
      const rest = ends.pop()!;
      for (const end of ends) {
        const lines = [...pieces, end].join("").split("\n");
        pieces = [];
        const field = (name: string) =>
          lines
            .filter((line) => line.startsWith(`${name}: `))
            .map((line) => line.slice(name.length + 2))
            .join("\n");
        if (lines.some((line) => line.startsWith("data: ")))
          yield { name: field("event"), data: field("data") };
      }
      held = rest.endsWith("\n") ? "\n" : "";
      pieces.push(held ? rest.slice(0, -1) : rest);
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}
