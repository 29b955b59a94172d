/** @file Optional peer dependencies: packages that only some commands need. */
import { firstLineOf, XPromptError } from "./errors.ts";

/**
 * Loads an optional peer.
 * @param wanted name and version, or several: "tar-stream@3.2.2"
 * @throws XPromptError that says what to install
 * @example const { extract } = await loadOptional(doing, "tar-stream@3.2.2", () => import("tar-stream"));
 */
export async function loadOptional<T>(doing: string, wanted: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (error) {
    throw new XPromptError(
      `${doing}: expected ${wanted.includes(" ") ? "the packages" : "the package"} ${wanted}, got: ${firstLineOf(error)} (npm install ${wanted})`,
      { code: "ERR_PACKAGE", cause: error },
    );
  }
}
