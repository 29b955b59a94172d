/**
 * @file Verification of a folder's weights against the checksum in its configuration. A large file is hashed by a thread
 * while the model starts.
 */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { XPromptError } from "../../errors.ts";
import { sha256File } from "../../runtime/files.ts";
import { sha256InThread } from "../../runtime/hash-thread.ts";
import type { Verification } from "../../runtime/verified.ts";

/** From this size on, hashing takes longer than starting a thread. */
const LARGE = 2 ** 26;

/**
 * Verifies `model.safetensors` of a folder. A small file is verified when this returns.
 * @param checksum expected SHA-256, if known
 * @param large bytes from which on a file is hashed by a thread
 * @throws XPromptError when a small file is damaged
 */
export async function startVerifying(
  folder: string,
  checksum: string | undefined,
  large = LARGE,
): Promise<Verification> {
  if (checksum === undefined) return { verified: Promise.resolve() };
  const path = join(folder, "model.safetensors");
  const size = (await stat(path).catch(() => undefined))?.size ?? 0;
  const verified = compare(path, size < large ? sha256File : sha256InThread, checksum);
  verified.catch(() => {}); // it is reported where it is awaited
  if (size < large) await verified;
  return { verified };
}

async function compare(path: string, hash: typeof sha256File, checksum: string): Promise<void> {
  if ((await hash(path, "weights")) !== checksum)
    throw new XPromptError(
      `reading weights ${path}: expected the checksum in config.json, got another: the file is damaged (copy the folder again)`,
    );
}
