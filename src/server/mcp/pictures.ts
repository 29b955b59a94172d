/** @file Pictures as arguments of tools: data URLs, and files of one folder if the operator allows it. */
import { realpath } from "node:fs/promises";
import { isAbsolute, join, resolve } from "node:path";
import { XPromptError } from "../../errors.ts";
import { isInside, readFileChecked } from "../../runtime/files.ts";
import { Failure } from "../failure.ts";
import { defaultLimits } from "../make-services.ts";
import { jsonPicture, type PictureBytes } from "../pictures.ts";

export type ReadPicture = (text: string) => Promise<PictureBytes>;

/** Reads data URLs, and plain base64. */
export const readDataUrl: ReadPicture = async (text) => {
  const parsed = jsonPicture.safeParse(text);
  if (parsed.success) return parsed.data;
  throw new Failure(400, `reading a picture: ${parsed.error.issues[0]!.message}`);
};

/** Reads data URLs, and paths of files inside a folder. Refuses links that leave the folder, pipes, and large files. */
export function readFrom(folder: string): ReadPicture {
  return async (text) => {
    if (text.startsWith("data:")) return readDataUrl(text);
    const path = isAbsolute(text) ? text : join(folder, text);
    const refused = new Failure(
      400,
      `reading ${text.slice(0, 200)}: expected a picture below ${folder}, got none there`,
    );
    const found = await realpath(path).catch(() => {
      throw refused;
    });
    if (!isInside(await realpath(resolve(folder)), found)) throw refused;
    return readFileChecked(found, "picture", defaultLimits.body).catch((error: unknown) => {
      throw error instanceof XPromptError && error.code === "ERR_INPUT" ? error : refused;
    });
  };
}
