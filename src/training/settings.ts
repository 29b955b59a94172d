/**
 * @file Reading a zod schema of settings: which dotted keys it has, what each expects in plain words, and what a
 * text from the command line means there. Understands objects, records, arrays, tuples, unions, enums, literals,
 * numbers, booleans and strings, under any of optional, default, nullable and readonly.
 */
import { z } from "zod";
import { closest, editDistance } from "../spelling.ts";

type Schema = z.core.$ZodType;
type Path = readonly PropertyKey[];

/** A schema without its wrappers: one for each alternative that it allows. */
function alternatives(schema: Schema): z.core.$ZodTypes[] {
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

/** The schemas that a value under `key` may have; none when there is no such key. */
function children(schema: Schema, key: PropertyKey): Schema[] {
  return alternatives(schema).flatMap(({ _zod: { def } }): Schema[] => {
    switch (def.type) {
      case "object":
        return typeof key === "string" && Object.hasOwn(def.shape, key) ? [def.shape[key]!] : [];
      case "record":
        return z.core.safeParse(def.keyType, key).success ? [def.valueType] : [];
      case "array":
        return typeof key === "number" ? [def.element] : [];
      case "tuple":
        return typeof key === "number" && def.items[key] ? [def.items[key]] : [];
      default:
        return [];
    }
  });
}

/** The schemas that the value at `path` may have; none when the schema has no such place. */
export function schemasAt(schema: Schema, path: Path): Schema[] {
  return path.reduce<Schema[]>((found, key) => found.flatMap((each) => children(each, key)), [schema]);
}

/** True when the value holds further settings instead of being one. */
export function isGroup(schema: Schema): boolean {
  return alternatives(schema).some(({ _zod: { def } }) => def.type === "object" || def.type === "record");
}

/**
 * The dotted keys of all settings in `schema`; a record's free keys are shown as `<name>`.
 * @throws TypeError when an object in it is not strict: a misspelt setting would go unnoticed
 */
export function settingKeys(schema: Schema, prefix = ""): string[] {
  const keys = alternatives(schema).flatMap(({ _zod: { def } }): string[] => {
    if (def.type === "object") {
      if (def.catchall?._zod.def.type !== "never") {
        throw new TypeError(
          `schema of ${prefix || "the recipe"}: expected z.strictObject, got a looser object`,
        );
      }
      return Object.entries(def.shape).flatMap(([key, each]) => settingKeys(each, join(prefix, key)));
    }
    if (def.type === "record") {
      const names = [...(def.keyType._zod.values ?? ["<name>"])];
      return names.flatMap((name) => settingKeys(def.valueType, join(prefix, String(name))));
    }
    return [prefix];
  });
  return [...new Set(keys)];
}

function join(prefix: string, key: string): string {
  return prefix ? `${prefix}.${key}` : key;
}

/**
 * What `text` means where one of `schemas` is expected: the first reading that is valid there, else the first that
 * has the right shape (for the check of the whole to complain about; items of a list that mean nothing stay texts);
 * `undefined` when there is none.
 */
export function readText(schemas: readonly Schema[], text: string): { value: unknown } | undefined {
  const readings = schemas
    .flatMap(alternatives)
    .flatMap((schema) =>
      readingsOf(schema, text).map((value) => ({ value, valid: z.core.safeParse(schema, value).success })),
    );
  return readings.find((each) => each.valid) ?? readings[0];
}

function readingsOf({ _zod: { def } }: z.core.$ZodTypes, text: string): unknown[] {
  switch (def.type) {
    case "number":
      return text.trim() === "" || Number.isNaN(Number(text)) ? [] : [Number(text)];
    case "boolean":
      return text === "true" || text === "false" ? [text === "true"] : [];
    case "string":
      return [text];
    case "null":
      return text === "null" ? [null] : [];
    case "enum":
      return Object.values(def.entries).filter((value) => String(value) === text);
    case "literal":
      return def.values.filter((value) => String(value) === text);
    case "array":
    case "tuple": {
      const parts = text === "" ? [] : text.split(",");
      const items = parts.map((part, index) => {
        const item = def.type === "array" ? def.element : (def.items[index] ?? def.rest);
        return item ? (readText([item], part) ?? { value: part }) : undefined;
      });
      return items.every((item) => item !== undefined) ? [items.map((item) => item.value)] : [];
    }
    default:
      return [];
  }
}

/** Names that are listed in full where one of them is expected. */
const LISTED = 16;

/**
 * What is wrong with a value where one of `schemas` is expected: `expected one of adamw, sgd, got "sdg" (did you mean
 * "sgd"?)`.
 */
export function complaint(schemas: readonly Schema[], got: unknown): string {
  const names = schemas
    .flatMap(alternatives)
    .flatMap(({ _zod: { def } }) => (def.type === "enum" ? Object.values(def.entries).map(String) : []));
  const hint = typeof got === "string" && names.length > 0 ? ` (did you mean "${closest(got, names)}"?)` : "";
  return `expected ${describeSchemas(schemas, got)}, got ${JSON.stringify(got) ?? "nothing"}${hint}`;
}

/** What the schemas expect, in words: `an integer ≥ 1`, `one of adamw, sgd`, `values separated by commas`. */
function describeSchemas(schemas: readonly Schema[], got: unknown): string {
  const words = schemas.flatMap(alternatives).map((each) => {
    return describeJson(z.toJSONSchema(each, { unrepresentable: "any", io: "input" }), got);
  });
  return [...new Set(words)].join(" or ");
}

function describeJson(schema: z.core.JSONSchema.BaseSchema, got: unknown): string {
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.length > LISTED ? "a known name" : `one of ${schema.enum.join(", ")}`;
  const many = schema.anyOf ?? schema.oneOf;
  if (many) return many.map((each) => describeJson(each as z.core.JSONSchema.BaseSchema, got)).join(" or ");
  switch (schema.type) {
    case "integer":
      return `an integer${describeRange(schema, got)}`;
    case "number":
      return `a number${describeRange(schema, got)}`;
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

/** The ends of what integers are exact are told where that is what is wrong. */
function describeRange(schema: z.core.JSONSchema.BaseSchema, got: unknown): string {
  const isBeyond = typeof got === "number" && Math.abs(got) > Number.MAX_SAFE_INTEGER;
  const isTold = (end: number | undefined) =>
    end !== undefined && (isBeyond || Math.abs(end) !== Number.MAX_SAFE_INTEGER);
  const bounds = [
    schema.exclusiveMinimum !== undefined && `> ${schema.exclusiveMinimum}`,
    isTold(schema.minimum) && `≥ ${schema.minimum}`,
    schema.exclusiveMaximum !== undefined && `< ${schema.exclusiveMaximum}`,
    isTold(schema.maximum) && `≤ ${schema.maximum}`,
  ].filter((bound) => bound !== false);
  return bounds.length > 0 ? ` ${bounds.join(" and ")}` : "";
}

/** zod's findings about `values`, one line each: `optimizer.learningRate: expected a number > 0, got "fast"`. */
export function explainIssues(schema: Schema, values: unknown, error: z.core.$ZodError): string[] {
  return error.issues.flatMap((issue) => {
    const key = issue.path.map(String).join(".");
    if (issue.code === "unrecognized_keys") {
      return issue.keys.map((each) => unknownKey(join(key, each), settingKeys(schema)));
    }
    const at = schemasAt(schema, issue.path);
    if (issue.code === "custom" || at.length === 0) return [key ? `${key}: ${issue.message}` : issue.message];
    const got = issue.path.reduce<unknown>(
      (value, step) => (value as Record<PropertyKey, unknown>)?.[step],
      values,
    );
    return [`${key}: ${complaint(at, got)}`];
  });
}

/** The complaint about a key that does not exist, with the nearest that does; or else with those of its group. */
export function unknownKey(key: string, known: readonly string[]): string {
  if (known.includes(key)) return `${key}: does not go with the settings beside it`;
  const nearest = known
    .filter((each) => isNear(key, each))
    .sort((a, b) => editDistance(key, a) - editDistance(key, b))[0];
  if (nearest !== undefined) return `${key}: no such setting (did you mean ${nearest}?)`;
  const group = groupOf(key);
  const ofGroup = known.filter((each) => group !== "" && groupOf(each) === group);
  const names = ofGroup.length > 0 ? ofGroup : known.map((each) => each.replace(/\..*/, ".…"));
  return `${key}: no such setting (there are: ${[...new Set(names)].join(", ")})`;
}

const lastOf = (key: string): string => key.slice(key.lastIndexOf(".") + 1);
const groupOf = (key: string): string => key.slice(0, Math.max(0, key.lastIndexOf(".")));

/** Whether an unknown key may be meant for a known one: misspelt by a third at most, in another group, or shortened. */
function isNear(key: string, known: string): boolean {
  const [written, meant] = [lastOf(key), lastOf(known)].map((word) => word.toLowerCase()) as [string, string];
  if (editDistance(written, meant) <= Math.max(written.length, meant.length) / 3) return true;
  return groupOf(key) === groupOf(known) && written === initialsOf(lastOf(known));
}

/** "lr" of "learningRate". */
const initialsOf = (word: string): string => word.replace(/(?<=.)[a-z0-9]+/g, "").toLowerCase();
