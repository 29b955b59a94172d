/**
 * @file `--key=value` overrides of a recipe on the command line, checked against the schema of the recipe's kind.
 */
import { UsageError } from "../errors.ts";
import { complaint } from "../schema-words.ts";
import { explainIssues, isGroup, readText, schemasAt, settingKeys, unknownKey } from "../settings.ts";
import type { AnyRecipeKind } from "./recipe.ts";

/**
 * Returns the recipe with the settings in `args` replaced: `--steps=40`, `--optimizer.learningRate 3e-4`,
 * `--mix.families=rain,blur`. A dot separates a group from its setting, and commas separate the items of a list.
 * @param options of the command, such as `--json`, for the error about a misspelt one
 * @throws UsageError naming the key when it is unknown, given twice, or has an invalid value
 */
export function applyOverrides<R extends Readonly<{ kind: string }>>(
  recipe: R,
  args: readonly string[],
  kinds: readonly AnyRecipeKind[],
  options: readonly string[] = [],
): R {
  const kind = kinds.find((each) => each.kind === recipe.kind);
  if (!kind) throw new TypeError(`applyOverrides: no schema for recipes of kind ${recipe.kind}`);
  const { kind: tag, ...settings } = structuredClone(recipe);
  for (const [key, text] of keysAndValues(args)) {
    const path = key.split(".");
    const schemas = schemasAt(kind.schema, path);
    if (options.includes(`--${key}`)) throw new UsageError(`--${key}: expected no value, got ${text}`);
    if (schemas.length === 0)
      throw new UsageError(
        `--${unknownKey(key, [...settingKeys(kind.schema), ...options.map((each) => each.slice(2))])}`,
      );
    if (text === undefined) throw new UsageError(`--${key}: expected a value (--${key}=…), got none`);
    const reading = readText(schemas, text);
    if (!reading) {
      const keys = schemas.flatMap((each) => settingKeys(each, key)).join(", ");
      const wrong = schemas.every(isGroup)
        ? `expected one of its settings (${keys}), got ${JSON.stringify(text)}`
        : complaint(schemas, text, { asText: true });
      throw new UsageError(`--${key}: ${wrong}`);
    }
    setAt(settings, path, reading.value);
  }
  const parsed = kind.schema.safeParse(settings);
  if (!parsed.success) {
    throw new UsageError(`--${explainIssues(kind.schema, settings, parsed.error).join("; --")}`);
  }
  return { kind: tag, ...parsed.data } as unknown as R;
}

/** Parses `--key=value` and `--key value`. A key without a value has undefined. */
function keysAndValues(args: readonly string[]): Map<string, string | undefined> {
  const found = new Map<string, string | undefined>();
  for (let i = 0; i < args.length; i++) {
    const [, key, inline] = /^--([^=]+)(?:=(.*))?$/s.exec(args[i]!) ?? [];
    if (key === undefined) throw new UsageError(`expected --key=value, got ${JSON.stringify(args[i])}`);
    if (found.has(key)) throw new UsageError(`--${key}: expected it once, got it twice`);
    const isAlone = inline === undefined && (args[i + 1]?.startsWith("--") ?? true);
    found.set(key, isAlone ? undefined : (inline ?? args[++i]));
  }
  return found;
}

/** Sets a nested value. A missing group is created, and one that is a plain value replaced. */
function setAt(settings: Record<string, unknown>, path: readonly string[], value: unknown): void {
  let group = settings;
  for (const key of path.slice(0, -1)) {
    const held = group[key];
    const inner = typeof held === "object" && held !== null && !Array.isArray(held) ? held : {};
    group[key] = inner;
    group = inner as Record<string, unknown>;
  }
  group[path.at(-1)!] = value;
}
