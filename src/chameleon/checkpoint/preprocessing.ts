/** @file Preprocessing of pictures according to the processor files of a checkpoint. */
import { existsSync } from "node:fs";
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { XPromptError } from "../../errors.ts";
import type { Preprocessing } from "../../image/index.ts";
import { readProcessor } from "../../image/preprocess-config.ts";
import { attempt } from "../../runtime/files.ts";
import type { VqganConfig } from "../tokenizers/vqgan.ts";

/** Files that `readProcessor` reads. */
const PROCESSOR_FILES = ["processor_config.json", "preprocessor_config.json"] as const;

const processorFiles = (folder: string): string[] =>
  PROCESSOR_FILES.filter((name) => existsSync(join(folder, name)));

/** @throws XPromptError when a file is invalid, or the processor's size differs from the image tokenizer's */
export async function preprocessingOf(
  folder: string,
  { resolution }: Pick<VqganConfig, "resolution">,
): Promise<Preprocessing | undefined> {
  if (processorFiles(folder).length === 0) return undefined;
  const { settings: preprocessing, path } = await readProcessor(folder);
  const { size, crop } = preprocessing;
  const { width, height } = crop ?? (typeof size === "number" ? { width: size, height: size } : size);
  if (width === resolution && height === resolution) return preprocessing;
  throw new XPromptError(
    `loading a model: ${path}: expected pictures of ${resolution} × ${resolution}, the size of the image tokenizer, got ${width} × ${height} (correct crop_size, or vq_config.resolution in config.json)`,
  );
}

/** Copies the processor files, if any, so that a derived model preprocesses pictures like its base. */
export async function copyProcessor(from: string, to: string): Promise<void> {
  for (const name of processorFiles(from)) {
    const path = join(from, name);
    await attempt(`copying ${path}`, path, () => copyFile(path, join(to, name)));
  }
}
