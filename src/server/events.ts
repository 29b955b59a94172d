/** @file Reads server-sent events. */

export interface Event {
  readonly name: string;
  readonly data: string;
}

/** The events of a stream as they arrive, without comments. */
export async function* eventsOf(body: ReadableStream<Uint8Array>): AsyncGenerator<Event> {
  const decoder = new TextDecoder();
  let text = "";
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      text += decoder.decode(value, { stream: true });
      for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
        const lines = text.slice(0, end).split("\n");
        text = text.slice(end + 2);
        const field = (name: string) =>
          lines
            .filter((line) => line.startsWith(`${name}: `))
            .map((line) => line.slice(name.length + 2))
            .join("\n");
        if (lines.some((line) => line.startsWith("data: ")))
          yield { name: field("event"), data: field("data") };
      }
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}
