/** @file Parses JSON and checks it against a schema. */
import type { z } from "zod";
import { messageOf, XPromptError } from "../errors.ts";
import { plainError } from "../schema-words.ts";

/** Parses a value from outside with `schema`. @throws XPromptError with the first mismatch */
export function checkJson<S extends z.ZodType>(value: unknown, schema: S, doing: string): z.infer<S> {
  const parsed = schema.safeParse(value, { error: plainError });
  if (parsed.success) return parsed.data;
  const { path: place, message } = parsed.error.issues[0]!;
  const at = place.length > 0 ? `${place.join(".")}: ` : "";
  throw new XPromptError(`${doing}: ${at}${message} (correct the file, or use another)`);
}

/** The value of a text in JSON. @throws XPromptError with the advice when it is something else */
export function parseJson(
  text: string,
  doing: string,
  advice = "is the file cut off, or the wrong file?",
): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new XPromptError(
      `${doing}: expected JSON, got: ${messageOf(error).replace(/\s+/g, " ")} (${advice})`,
    );
  }
}
