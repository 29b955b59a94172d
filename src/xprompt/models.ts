/** @file Resolves the name of a model to its folder. */
import { existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { UsageError, XPromptError } from "../errors.ts";
import { meant } from "../spelling.ts";

/** Folder of the models in the package. */
const SHIPPED = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "models");

/**
 * The folder of a model, from a path or the name of a shipped model ("nano").
 * @throws XPromptError when neither exists; UsageError for an empty text
 */
export async function resolveModel(nameOrPath: string): Promise<string> {
  if (nameOrPath === "")
    throw new UsageError("loading a model: expected the name or the folder of a model, got an empty text");
  const path = resolve(nameOrPath);
  if (existsSync(path) && (await stat(path)).isDirectory()) return path;
  const shipped = join(SHIPPED, nameOrPath);
  if (/^[\w-]+$/.test(nameOrPath) && existsSync(join(shipped, "config.json"))) return shipped;
  throw new XPromptError(
    `loading model ${nameOrPath}: expected a model folder or a shipped model (nano), found neither${meant(nameOrPath, ["nano"]) || " (check the path)"}`,
  );
}
