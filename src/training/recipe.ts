/**
 * @file Training recipes. A recipe is a small TypeScript file. Its doc comment states the command, the hours and the
 * score to expect; its default export is made by the function of its kind:
 *
 * ```ts
 * import { transformerRecipe } from "x-prompt/training";
 * export default transformerRecipe({ steps: 20_000, optimizer: { learningRate: 1e-3 } });
 * ```
 *
 * A recipe is plain data with a `kind`, so it may come from another copy of this package or be a bare object. Each
 * kind declares its settings once, as a zod schema. The type, the defaults, the checks, and the `--key=value`
 * overrides of `overrides.ts` follow from the schema.
 */
import { existsSync, readdirSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { z } from "zod";
import { firstLineOf, messageOf, XPromptError } from "../errors.ts";
import { sha256 } from "../hash.ts";
import { explainIssues, settingKeys } from "../settings.ts";
import { meant } from "../spelling.ts";

/** The settings of one training run, complete and checked. */
export type Recipe<Name extends string = string, Schema extends z.ZodObject = z.ZodObject> = Readonly<
  { kind: Name } & z.output<Schema>
>;

/** A kind of recipe. Called with settings, it checks them, fills in the defaults and returns the recipe. */
export interface RecipeKind<Name extends string = string, Schema extends z.ZodObject = z.ZodObject> {
  (values: z.input<Schema>): Recipe<Name, Schema>;
  readonly kind: Name;
  readonly schema: Schema;
}

/** The common interface of all kinds, sufficient to check a recipe of any kind. */
export interface AnyRecipeKind {
  (values: never): Readonly<{ kind: string }>;
  readonly kind: string;
  readonly schema: z.ZodObject;
}

/**
 * Declares a kind of recipe.
 * @param schema made of `z.strictObject`s, so that a misspelt setting is an error. It must not contain transforms,
 *   because a recipe may be checked twice.
 * @throws TypeError when an object in `schema` is not strict
 * @example export const tokenizerRecipe = recipeKind("tokenizer", z.strictObject({ steps: z.int().min(1) }));
 */
export function recipeKind<Name extends string, Schema extends z.ZodObject>(
  kind: Name,
  schema: Schema,
): RecipeKind<Name, Schema> {
  settingKeys(schema);
  const make = (given: z.input<Schema>) => {
    const values = withoutKind(given, kind);
    const parsed = schema.safeParse(values);
    if (!parsed.success) {
      throw new XPromptError(`${kind} recipe: ${explainIssues(schema, values, parsed.error).join("; ")}`);
    }
    return { kind, ...parsed.data };
  };
  return Object.assign(make, { kind, schema });
}

/** Strips `kind` from a spread recipe: `transformerRecipe({ ...other, seed: 2 })`. */
function withoutKind(values: unknown, kind: string): unknown {
  if (!isObject(values) || values.kind !== kind) return values;
  const { kind: _, ...settings } = values;
  return settings;
}

/** Compiled copies of `recipes/`, found by name. They run on every version of Node, without TypeScript. */
const shippedRecipes = new URL("../../dist/recipes/", import.meta.url);

/** Names of the shipped recipes; none before the project is built. */
const shippedNames = (): string[] =>
  (existsSync(shippedRecipes) ? readdirSync(shippedRecipes) : []).flatMap(
    (file) => /^(.*)\.js$/.exec(file)?.[1] ?? [],
  );

/**
 * Loads the recipe that a file exports, and checks it against the schema of its kind.
 * @param path path of a file (.ts, .mts, .js, .mjs), or the name of a shipped recipe such as "own-pairs"
 * @throws XPromptError when the file is missing or broken, does not export a recipe, or contains a wrong setting
 */
export async function loadRecipe<Kind extends AnyRecipeKind>(
  path: string,
  kinds: readonly Kind[],
): Promise<ReturnType<Kind>> {
  const makers = kinds.map((each) => `${each.kind}Recipe`).join(" or ");
  const wrong = (problem: string, cause?: unknown) =>
    new XPromptError(`loading the recipe ${path}: ${problem}`, { cause });

  const isName = /^[\w-]+$/.test(path);
  const file = isName ? fileURLToPath(new URL(`${path}.js`, shippedRecipes)) : resolve(path);
  if (!existsSync(file)) {
    if (!isName) throw wrong("expected a file, found nothing there (check the path)");
    const names = shippedNames();
    throw wrong(
      `expected a path with its extension, or a shipped recipe (${names.join(", ")}), got neither${meant(path, names)}`,
    );
  }
  const module = await importFile(file).catch((error: unknown) => {
    throw wrong(explainImport(error), error);
  });
  const values = defaultExport(module);
  if (values === undefined) {
    throw wrong(`expected a default export, got none (add \`export default ${makers}({ … })\`)`);
  }
  if (!isObject(values) || typeof values.kind !== "string") {
    throw wrong(`expected the default export to be a recipe, got ${nameOf(values)} (make it with ${makers})`);
  }
  const { kind, ...settings } = values;
  const maker = kinds.find((each) => each.kind === kind);
  if (!maker) {
    const known = kinds.map((each) => each.kind).join(" or ");
    throw wrong(`expected a recipe of kind ${known}, got kind ${JSON.stringify(kind)}`);
  }
  try {
    return maker(settings as never) as ReturnType<Kind>;
  } catch (error) {
    throw wrong(messageOf(error), error);
  }
}

/** SHA-256 of the recipe, in hex. It does not depend on the order of the keys. */
export function recipeDigest(recipe: object): string {
  return sha256(canonicalJson(recipe));
}

/** One setting in which two recipes differ; `undefined` where a recipe lacks it. */
export interface Difference {
  readonly key: string;
  readonly before: unknown;
  readonly after: unknown;
}

/** Lists the settings in which two recipes differ, by dotted key. An array counts as one setting. */
function recipeDifferences(before: object, after: object): Difference[] {
  const [a, b] = [flatten(before), flatten(after)];
  const keys = [...new Set([...a.keys(), ...b.keys()])].sort();
  return keys
    .map((key) => ({ key, before: a.get(key), after: b.get(key) }))
    .filter((each) => canonicalJson(each.before) !== canonicalJson(each.after));
}

/** Lists the differences with one line per setting: `optimizer.learningRate: 0.001 → 0.0003`. */
export function describeDifference(before: object, after: object): string[] {
  const show = (value: unknown) => (value === undefined ? "(unset)" : JSON.stringify(value));
  return recipeDifferences(before, after).map(
    (each) => `${each.key}: ${show(each.before)} → ${show(each.after)}`,
  );
}

/**
 * Imports a TypeScript or JavaScript file without the module cache. Uses tsx if it is installed, and ignores the
 * caller's tsconfig. Without tsx, Node imports the file itself; Node before 22.18 cannot import TypeScript.
 */
async function importFile(file: string): Promise<unknown> {
  const { href } = pathToFileURL(file);
  const tsx = await import("tsx/esm/api").catch(() => undefined);
  if (tsx) return tsx.tsImport(href, { parentURL: import.meta.url, tsconfig: false });
  if (/\.[cm]?ts$/.test(file) && !("typescript" in process.features && process.features.typescript)) {
    throw new XPromptError(
      `expected Node from 22.18 on or the package tsx to run TypeScript, got Node ${process.versions.node} without tsx (npm install tsx)`,
    );
  }
  return import(`${href}?${imports++}`);
}

/** Node caches modules by URL. A counter in the query bypasses the cache. */
let imports = 0;

/** In a folder without `"type": "module"` a recipe loads as CommonJS, with its exports one level deeper. */
function defaultExport(module: unknown): unknown {
  if (!isObject(module)) return undefined;
  const outer = module.default;
  return isObject(outer) && "__esModule" in outer ? outer.default : outer;
}

function explainImport(error: unknown): string {
  const message = messageOf(error);
  // esbuild: "Transform failed with 1 error:\n/recipe.ts:1:9: ERROR: Unexpected "=""
  const syntax = message.split("\n").find((line) => line.includes(": ERROR: "));
  if (syntax) return syntax.replace(": ERROR: ", ": ");
  if (/Cannot find (package|module) '(x-prompt|[^']*\/dist\/)/.test(message)) {
    return `${firstLineOf(error)} (npm install x-prompt next to the recipe; in a clone of it, npm run build)`;
  }
  return firstLineOf(error);
}

function canonicalJson(value: unknown): string {
  const sorted = (_key: string, each: unknown) =>
    isObject(each) ? Object.fromEntries(Object.entries(each).sort(([a], [b]) => (a < b ? -1 : 1))) : each;
  return JSON.stringify(value, sorted) ?? "undefined";
}

function flatten(value: object, prefix = "", into = new Map<string, unknown>()): Map<string, unknown> {
  for (const [key, each] of Object.entries(value)) {
    if (isObject(each) && Object.keys(each).length > 0) flatten(each, `${prefix}${key}.`, into);
    else into.set(prefix + key, each);
  }
  return into;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function nameOf(value: unknown): string {
  if (typeof value === "function") return "a function";
  return isObject(value) ? "an object without a kind" : (JSON.stringify(value) ?? String(value));
}
