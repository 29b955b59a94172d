/** @file Loads the model of a command. */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { formatBytes } from "../format.ts";
import { XPrompt } from "../xprompt/model.ts";
import { resolveModel } from "../xprompt/models.ts";
import { loadOptionsOf, type ModelOptions } from "./options.ts";
import { oneLine, say } from "./output.ts";

/** Bytes of weights from which loading takes seconds. */
const LARGE = 2 ** 30;

/** Loads the model of `--model`, and says so where that takes a while. */
export async function loadModel(options: ModelOptions): Promise<XPrompt> {
  await sayLarge(await resolveModel(options.model));
  return XPrompt.load(options.model, loadOptionsOf(options));
}

/** Says that the model in a folder is being loaded, if it is large. */
export async function sayLarge(folder: string): Promise<void> {
  const names = await readdir(folder).catch((): string[] => []); // loading says what is wrong
  const weights = names.filter((name) => name.endsWith(".safetensors"));
  const sizeOf = (name: string) =>
    stat(join(folder, name)).then(
      ({ size }) => size,
      () => 0,
    );
  const sizes = await Promise.all(weights.map(sizeOf));
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  if (bytes >= LARGE) say(oneLine(`loading ${folder} (${formatBytes(bytes)}) …`));
}
