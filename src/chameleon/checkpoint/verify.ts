/** @file Verification of a folder's weights against the checksum in its configuration, while the model starts. */
import { webcrypto } from "node:crypto";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { XPromptError } from "../../errors.ts";
import { readFileChecked } from "../../runtime/files.ts";
import { sha256InThread } from "../../runtime/hash-thread.ts";
import type { Verification } from "../../runtime/verified.ts";

/** From this size on, a file is not read into memory for its hash, but hashed piece by piece by a thread. */
const LARGE = 2 ** 26;

/**
 * Starts to verify `model.safetensors` of a folder.
 * @param checksum expected SHA-256, if known
 * @param large bytes from which on a file is large
 */
export async function startVerifying(
  folder: string,
  checksum: string | undefined,
  large = LARGE,
): Promise<Verification> {
  if (checksum === undefined) return { verified: Promise.resolve() };
  const path = join(folder, "model.safetensors");
  const size = (await stat(path).catch(() => undefined))?.size ?? 0;
  const verified = compare(path, size < large ? sha256InMemory : sha256InThread, checksum);
  verified.catch(() => {}); // it is reported where it is awaited
  return { verified };
}

/** WebCrypto hashes in a thread that Node has anyway. */
async function sha256InMemory(path: string, what: string): Promise<string> {
  const bytes = await readFileChecked(path, what);
  return Buffer.from(await webcrypto.subtle.digest("SHA-256", bytes)).toString("hex");
}

async function compare(path: string, hash: typeof sha256InThread, checksum: string): Promise<void> {
  if ((await hash(path, "weights")) !== checksum)
    throw new XPromptError(
      `reading weights ${path}: expected the checksum in config.json, got another: the file is damaged (copy the folder again)`,
    );
}
