/** @file In browsers a path is an address to fetch, and nothing is written. */
import { messageOf, XPromptError } from "../errors.ts";
import type * as node from "./files.ts";
import { checkJson, parseJson } from "./json.ts";

/** The bytes at an address. @throws XPromptError when there are none */
async function fetchBytes(address: string, doing: string): Promise<Uint8Array<ArrayBuffer>> {
  const response = await fetch(address).catch((error: unknown) => {
    throw new XPromptError(`${doing}: expected an answer, got ${messageOf(error)} (check the address)`, {
      code: "ERR_FILE",
      cause: error,
    });
  });
  if (response.ok) return new Uint8Array(await response.arrayBuffer());
  throw new XPromptError(`${doing}: expected a file, got status ${response.status} (check the address)`, {
    code: "ERR_FILE",
  });
}

export const readFileChecked = (path: string, what: string): Promise<Uint8Array<ArrayBuffer>> =>
  fetchBytes(path, `reading ${what} ${path}`);

export const readJson: typeof node.readJson = async (path, schema, what) => {
  const text = new TextDecoder().decode(await readFileChecked(path, what));
  const doing = `reading ${what} ${path}`;
  return checkJson(parseJson(text, doing), schema, doing);
};

export const openFile: typeof node.openFile = async (path, doing) => {
  throw new XPromptError(`${doing}: expected bytes, got the path ${path} (browsers have no files: fetch it)`);
};

export const writeFileAtomic: typeof node.writeFileAtomic = async (path) => {
  throw new XPromptError(
    `writing ${path}: expected a disk, got a browser (use the bytes, as toBytes gives them)`,
  );
};

export const attempt: typeof node.attempt = (_doing, _path, work) => work();

export const pathOfUrl: typeof node.pathOfUrl = ({ href }) => href;
