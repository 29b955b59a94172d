/** @file Server-sent events of an answer, checked. */
import { EventSourceParserStream } from "eventsource-parser/stream";
import type { z } from "zod/mini";
import { BackendError } from "../backend.ts";
import { failure, parse } from "./client.ts";
import { eventSchema } from "./schemas.ts";

export type ServerEvent = Exclude<z.infer<typeof eventSchema>, { error: unknown }>;

/** Leaving the loop ends the request, and with it the drawing. @throws BackendError that the server sends as an event */
export async function* events(response: Response): AsyncGenerator<ServerEvent> {
  if (!response.body) throw new BackendError("The server sent an empty answer.");
  const reader = response.body
    .pipeThrough(new TextDecoderStream())
    .pipeThrough(new EventSourceParserStream())
    .getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((cause) => {
        if (cause instanceof DOMException && cause.name === "AbortError") throw cause;
        throw new BackendError("The server ended the answer early. Draw again.", "result", { cause });
      });
      if (done) return;
      if (value.data === "[DONE]") return;
      const event = parse(eventSchema, JSON.parse(value.data));
      if ("error" in event) throw failure(event);
      yield event;
    }
  } finally {
    await reader.cancel().catch(() => {}); // of a broken connection
  }
}
