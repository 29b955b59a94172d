/** @file Checking the settings of a request, one line for the first that is out of range. */
import type { z } from "zod";
import { UsageError } from "./errors.ts";

/**
 * The settings among `options`; where they leave one open, the fallback's, else the schema's default.
 * @param schema each setting's description ends the sentence "expected …"
 * @throws UsageError naming the one that is out of range
 */
export function checkSettings<S extends z.ZodRawShape>(
  doing: string,
  schema: z.ZodObject<S>,
  options: Readonly<Partial<Record<keyof S & string, unknown>>>,
  fallback?: Readonly<Partial<Record<keyof S & string, unknown>>>,
): z.output<z.ZodObject<S>> {
  const keys = Object.keys(schema.shape) as (keyof S & string)[];
  const parsed = schema.safeParse(
    Object.fromEntries(keys.map((key) => [key, options[key] === undefined ? fallback?.[key] : options[key]])),
  );
  if (parsed.success) return parsed.data;
  const key = parsed.error.issues[0]!.path[0] as keyof S & string;
  const expected = descriptionOf(schema.shape[key]!);
  throw new UsageError(`${doing}: ${key}: expected ${expected}, got ${show(options[key])}`);
}

/** What a schema says of itself, or the one says that it adds a default to or makes optional. */
export function descriptionOf(schema: z.core.$ZodType): string | undefined {
  const { description } = schema as z.ZodType;
  const { def } = (schema as z.core.$ZodTypes)._zod;
  return description ?? ("innerType" in def ? descriptionOf(def.innerType) : undefined);
}

/** Without what is left open. */
export const defined = <T extends object>(settings: T): Partial<T> =>
  Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined)) as Partial<T>;

/** JSON knows no NaN, no bigint and no symbol. */
const show = (value: unknown): string =>
  typeof value === "string" || typeof value === "object" ? JSON.stringify(value) : String(value);
