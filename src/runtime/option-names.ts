/**
 * @file The option names of methods: a misspelt one would be ignored otherwise. Options that are no settings of a schema
 * are checked here by their names, which mean the same in every method.
 */
import { UsageError } from "../errors.ts";
import { meant } from "../spelling.ts";
import { devices, type SessionOptions } from "./session-options.ts";

/** The names of all options, each once. */
export type Names<Options> = Record<keyof Options, true>;

export const sessionNames = {
  device: true,
  threads: true,
  arena: true,
} as const satisfies Names<SessionOptions>;

/** The most threads of a session: more than any machine has cores. */
const MOST_THREADS = 1024;

const isObject = (value: unknown): boolean => typeof value === "object" && value !== null;
const isCount = (value: unknown): boolean =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) <= MOST_THREADS;

/** What options of these names must be, wherever they occur. */
const kinds: Readonly<Record<string, readonly [is: (value: unknown) => boolean, expected: string]>> = {
  device: [(value) => devices.includes(value as never), `one of ${devices.join(", ")}`],
  threads: [isCount, `a whole number from 0 to ${MOST_THREADS}`],
  arena: [(value) => typeof value === "boolean", "true or false"],
  adapter: [(value) => typeof value === "string", "the path of a folder"],
  examples: [Array.isArray, "an array of examples"],
  instruction: [(value) => typeof value === "string", "a text"],
  fullSize: [(value) => typeof value === "boolean", "true or false"],
  library: [isObject, "a Retriever"],
  signal: [(value) => isObject(value) && "throwIfAborted" in (value as object), "an AbortSignal"],
  onProgress: [(value) => typeof value === "function", "a function"],
};

const described = (value: unknown): string =>
  typeof value === "string"
    ? JSON.stringify(value)
    : isObject(value) || typeof value === "function"
      ? "something else"
      : String(value);

/**
 * @param known the names of all options
 * @throws UsageError naming an unknown option or a wrong one, or for no options at all
 */
export function checkKeys(doing: string, options: unknown, known: Readonly<Record<string, true>>): void {
  if (typeof options !== "object" || options === null)
    throw new UsageError(`${doing}: expected an object with options, got ${String(options)}`);
  const wrong = Object.entries(options).find(
    ([key, value]) => value !== undefined && !Object.hasOwn(known, key),
  );
  if (wrong) {
    const names = Object.keys(known);
    throw new UsageError(`${doing}: expected ${names.join(", ")}, got ${wrong[0]}${meant(wrong[0], names)}`);
  }
  for (const [key, value] of Object.entries(options)) {
    const [is, expected] = kinds[key] ?? [];
    if (value !== undefined && is && !is(value))
      throw new UsageError(`${doing}: ${key}: expected ${expected}, got ${described(value)}`);
  }
}
