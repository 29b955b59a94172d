/** @file The option names of methods: a misspelt one would be ignored otherwise. */
import { UsageError } from "../errors.ts";
import { meant } from "../spelling.ts";
import type { SessionOptions } from "./session-options.ts";

/** The names of all options, each once. */
export type Names<Options> = Record<keyof Options, true>;

export const sessionNames = {
  device: true,
  threads: true,
  arena: true,
} as const satisfies Names<SessionOptions>;

/**
 * @param known the names of all options
 * @throws UsageError naming an unknown option, or for no options at all
 */
export function checkKeys(doing: string, options: unknown, known: Readonly<Record<string, true>>): void {
  if (typeof options !== "object" || options === null)
    throw new UsageError(`${doing}: expected an object with options, got ${String(options)}`);
  const wrong = Object.entries(options).find(
    ([key, value]) => value !== undefined && !Object.hasOwn(known, key),
  );
  if (!wrong) return;
  const names = Object.keys(known);
  throw new UsageError(`${doing}: expected ${names.join(", ")}, got ${wrong[0]}${meant(wrong[0], names)}`);
}
