/** @file What comes out of Redis, checked: other versions and other programs write there too. */
import type { z } from "zod";
import { XPromptError } from "../errors.ts";
import { innermost } from "../schema-words.ts";
import type { JobKind } from "./kind.ts";

/** The data of a job. @throws XPromptError naming the field that is wrong */
export const checkedData = <D extends z.ZodType>(kind: JobKind<D>, data: unknown): z.output<D> =>
  checked(kind.data, data, `reading a job of kind ${kind.name}`, "the submitter may run another version");

/** The result of a job. @throws XPromptError naming the field that is wrong */
export const checkedResult = <R extends z.ZodType>(
  kind: JobKind<z.ZodType, R>,
  result: unknown,
): z.output<R> =>
  checked(
    kind.result,
    result,
    `reading the result of a job of kind ${kind.name}`,
    "the worker may run another version",
  );

function checked<S extends z.ZodType>(schema: S, value: unknown, doing: string, advice: string): z.output<S> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const { path, message } = innermost(parsed.error.issues[0]!);
  throw new XPromptError(
    `${doing}: ${path.map(String).join(".") || "data"}: ${message.slice(0, 300)} (${advice})`,
  );
}
