/** @file What a zod schema of a setting expects, in plain words: `a whole number from 1 to 64`, `one of adamw, muon`. */
import { z } from "zod";
import { meant } from "./spelling.ts";

export type Schema = z.core.$ZodType;

/** The schemas inside the wrappers (optional, default, …) and unions of a schema. */
export function alternatives(schema: Schema): z.core.$ZodTypes[] {
  const { def } = (schema as z.core.$ZodTypes)._zod;
  switch (def.type) {
    case "optional":
    case "default":
    case "prefault":
    case "readonly":
    case "nonoptional":
      return alternatives(def.innerType);
    case "nullable":
      return [...alternatives(def.innerType), z.null()];
    case "union":
      return def.options.flatMap(alternatives);
    default:
      return [schema as z.core.$ZodTypes];
  }
}

/** The default of a setting, or undefined if there is none. */
export function defaultOf(schema: Schema): unknown {
  const { def } = (schema as z.core.$ZodTypes)._zod;
  if (def.type === "default") return def.defaultValue;
  return "innerType" in def ? defaultOf(def.innerType) : undefined;
}

/** The description of a schema, or of the schema inside its wrappers. */
export function descriptionOf(schema: Schema): string | undefined {
  const { def } = (schema as z.core.$ZodTypes)._zod;
  return (schema as z.ZodType).description ?? ("innerType" in def ? descriptionOf(def.innerType) : undefined);
}

/** Of a value that may be one of several things, what is wrong with the first. */
export function innermost(issue: z.core.$ZodIssue): Pick<z.core.$ZodIssue, "path" | "message"> {
  const [inner] = issue.code === "invalid_union" ? (issue.errors[0] ?? []) : [];
  if (!inner) return issue;
  const { path, message } = innermost(inner);
  return { path: [...issue.path, ...path], message };
}

interface Got {
  /** The value, where text from a command line was read as one. */
  readonly value?: unknown;
  /** Whether it was written as text: then the words say how a list or a group is written. */
  readonly asText?: boolean;
}

/**
 * What is wrong with a value where one of `schemas` is expected: `expected one of adamw, sgd, got "sdg" (did you mean
 * "sgd"?)`.
 */
export function complaint(
  schemas: readonly Schema[],
  got: unknown,
  { value = got, asText }: Got = {},
): string {
  const names = schemas
    .flatMap(alternatives)
    .flatMap(({ _zod: { def } }) => (def.type === "enum" ? Object.values(def.entries).map(String) : []));
  const hint = typeof got === "string" ? meant(got, names) : "";
  const isBeyond = typeof value === "number" && Math.abs(value) > Number.MAX_SAFE_INTEGER;
  return `expected ${wordsFor(schemas, { isBeyond, asText })}, got ${show(got)}${hint}`;
}

const UNITS: Readonly<Record<string, string>> = {
  string: " characters",
  array: " items",
  set: " items",
  object: " fields",
  file: " bytes",
};
const KINDS: Readonly<Record<string, string>> = {
  int: "a whole number",
  number: "a number",
  string: "text",
  boolean: "true or false",
  array: "a list",
  object: "an object",
  record: "an object",
};

/**
 * The words for what is wrong with a value from outside, for `safeParse`'s option `error`; zod's own where it returns
 * undefined.
 */
export const plainError: z.core.$ZodErrorMap = (issue) => {
  const [got, unit] = [
    `, got ${brief(issue.input)}`,
    "origin" in issue ? (UNITS[String(issue.origin)] ?? "") : "",
  ];
  switch (issue.code) {
    case "too_big":
      return `expected ${issue.inclusive ? "at most" : "less than"} ${issue.maximum}${unit}${got}`;
    case "too_small":
      return `expected ${issue.inclusive ? "at least" : "more than"} ${issue.minimum}${unit}${got}`;
    case "invalid_type":
      return `expected ${KINDS[issue.expected] ?? issue.expected}${got}`;
    case "invalid_value":
      return `expected ${issue.values.length > 1 ? "one of " : ""}${issue.values.join(", ")}${got}`;
    case "unrecognized_keys":
      return `expected known fields, got ${issue.keys.slice(0, 3).join(", ")}`;
    default:
      return undefined;
  }
};

const BRIEF = 60;

function brief(value: unknown): string {
  const text = show(value) ?? typeof value;
  return text.length > BRIEF ? `${text.slice(0, BRIEF)}…` : text;
}

/** JSON has no NaN, bigint or symbol, and no circles. */
function show(value: unknown): string {
  if (value === undefined) return "nothing";
  if (ArrayBuffer.isView(value)) return `${value.byteLength} bytes`;
  if (typeof value !== "string" && typeof value !== "object") return String(value);
  try {
    return JSON.stringify(value);
  } catch {
    return "an object";
  }
}

interface Wanted {
  /** Whether the value is beyond the integers that are exact: then the words name the last of them. */
  readonly isBeyond: boolean;
  readonly asText?: boolean;
}

function wordsFor(schemas: readonly Schema[], wanted: Wanted): string {
  const words = schemas.flatMap(alternatives).map((each) => {
    return wordsForJson(z.toJSONSchema(each, { unrepresentable: "any", io: "input" }), wanted);
  });
  const [first, ...others] = [...new Set(words)];
  const groups = schemas.flatMap(alternatives).flatMap(({ _zod: { def } }) => {
    return def.type === "object" &&
      Object.values(def.shape).every((each) => wordsFor([each], wanted) === first)
      ? [Object.keys(def.shape)]
      : [];
  });
  const [keys] = groups;
  if (!keys || first === undefined || others.length !== 1) return [first, ...others].join(" or ");
  const example = keys.slice(0, 2).map((key, i) => `${key}=${i + 2}`);
  const written = wanted.asText ? `, as ${example.join(",")}` : "";
  return `${first}, or one for each of ${listed(keys)}${written}`;
}

/** "a", "a and b", "a, b and c". */
const listed = (names: readonly string[]): string => names.join(", ").replace(/, ([^,]*)$/, " and $1");

/** Enums of at most this many names are listed in full. */
const LISTED = 16;

function wordsForJson(schema: z.core.JSONSchema.BaseSchema, wanted: Wanted): string {
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.length > LISTED ? "a known name" : `one of ${schema.enum.join(", ")}`;
  const many = schema.anyOf ?? schema.oneOf;
  if (many)
    return many.map((each) => wordsForJson(each as z.core.JSONSchema.BaseSchema, wanted)).join(" or ");
  switch (schema.type) {
    case "integer":
      return `a whole number${wordsForRange(schema, wanted)}`;
    case "number":
      return `a number${wordsForRange(schema, wanted)}`;
    case "boolean":
      return "true or false";
    case "null":
      return "null";
    case "string":
      return "text";
    case "array":
      if (schema.prefixItems) return `${schema.prefixItems.length} values separated by commas`;
      return `values separated by commas${schema.minItems ? `, at least ${schema.minItems}` : ""}`;
    default:
      return "a group of settings";
  }
}

/** " from 1 to 64", " above 0, up to 1", " from 0, below 1". */
function wordsForRange(schema: z.core.JSONSchema.BaseSchema, { isBeyond }: Wanted): string {
  const { exclusiveMinimum: above, exclusiveMaximum: below } = schema;
  const told = (end: number | undefined) =>
    end !== undefined && (isBeyond || Math.abs(end) !== Number.MAX_SAFE_INTEGER) ? end : undefined;
  const [from, to] = [told(schema.minimum), told(schema.maximum)];
  const start = above !== undefined ? `above ${above}` : from !== undefined && `from ${numeral(from)}`;
  const end = below !== undefined ? `below ${below}` : to !== undefined && `to ${numeral(to)}`;
  if (!start || !end) return start || end ? ` ${start || (below === undefined ? `up ${end}` : end)}` : "";
  if (above === undefined && below === undefined) return ` ${start} ${end}`;
  return ` ${start}, ${below === undefined ? `up ${end}` : end}`;
}

const numeral = (value: number): string => {
  if (Math.abs(value) !== Number.MAX_SAFE_INTEGER) return String(value);
  return value > 0 ? "2^53 - 1" : "-(2^53 - 1)";
};
