/**
 * @file Settings, each group of which is written once, as a zod schema: which dotted keys it has, what a text from the
 * command line means there, and one line for each value that is wrong. Understands objects, records, arrays, tuples,
 * unions, enums, literals, numbers, booleans and strings, under any of optional, default, nullable and readonly.
 */
import { z } from "zod";
import { UsageError } from "./errors.ts";
import { alternatives, complaint, type Schema } from "./schema-words.ts";
import { editDistance } from "./spelling.ts";

type Path = readonly PropertyKey[];

/**
 * The settings among `options`; those left open are taken from `fallback`, then from the schema's defaults.
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
  throw new UsageError(`${doing}: ${key}: ${complaint([schema.shape[key]!], options[key])}`);
}

/** The settings without those that are undefined. */
export const defined = <T extends object>(settings: T): Partial<T> =>
  Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined)) as Partial<T>;

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
  const possible = schemas.flatMap(alternatives);
  const readings = possible.flatMap((schema) =>
    readingsOf(schema, text, possible.length > 1).map((value) => ({
      value,
      valid: z.core.safeParse(schema, value).success,
    })),
  );
  return readings.find((each) => each.valid) ?? readings[0];
}

/** @param inUnion whether a group may stand here instead of one value: as `image=2,text=3` */
function readingsOf({ _zod: { def } }: z.core.$ZodTypes, text: string, inUnion: boolean): unknown[] {
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
    case "object":
      return inUnion ? groupsIn(def.shape, text) : [];
    default:
      return [];
  }
}

/** The group that `image=2,text=3` stands for; none if a part is no setting with a value, or a key is there twice. */
function groupsIn(shape: Readonly<Record<string, Schema>>, text: string): unknown[] {
  const parts = text.split(",").map((part) => part.split("="));
  const keys = new Set(parts.map(([key = ""]) => key.trim()));
  if (keys.size !== parts.length || parts.some(({ length }) => length !== 2)) return [];
  const values = parts.map(([name = "", value = ""]) => {
    const key = name.trim();
    const schema = Object.hasOwn(shape, key) ? shape[key] : undefined;
    return [key, (schema && readText([schema], value))?.value ?? value];
  });
  return [Object.fromEntries(values)];
}

/** zod's findings about `values`, one line each: `optimizer.learningRate: expected a number above 0, got "fast"`. */
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
