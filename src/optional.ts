/** @file Optional peers: packages that only some commands need, installed by those who use them. */
import { messageOf, XPromptError } from "./errors.ts";

/**
 * Loads an optional peer.
 * @param wanted name and version: "tar-stream@3.2.2"
 * @throws XPromptError that says what to install
 * @example const { extract } = await loadOptional(doing, "tar-stream@3.2.2", () => import("tar-stream"));
 */
export async function loadOptional<T>(doing: string, wanted: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (error) {
    const [reason] = messageOf(error).split("\n");
    throw new XPromptError(
      `${doing}: expected the package ${wanted}, got: ${reason} (npm install ${wanted})`,
      { cause: error },
    );
  }
}
