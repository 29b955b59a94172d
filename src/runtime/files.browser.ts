/** @file In browsers a path is an address to fetch, and nothing is written. */
import { messageOf, XPromptError } from "../errors.ts";
import type * as node from "./files.ts";
import { checkJson, parseJson } from "./json.ts";

/** The bytes at an address. @throws XPromptError when there are none, or more than `maxBytes` */
async function fetchBytes(
  address: string,
  doing: string,
  maxBytes: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const lost = (error: unknown): never => {
    throw new XPromptError(`${doing}: expected an answer, got ${messageOf(error)} (check the address)`, {
      code: "ERR_FILE",
      cause: error,
    });
  };
  const response = await fetch(address).catch(lost);
  if (!response.ok)
    throw new XPromptError(`${doing}: expected a file, got status ${response.status} (check the address)`, {
      code: "ERR_FILE",
    });
  const requireSize = (size: number) => {
    if (size > maxBytes) throw new XPromptError(`${doing}: expected at most ${maxBytes} bytes, got ${size}`);
  };
  requireSize(Number(response.headers.get("content-length") ?? 0));
  const bytes = new Uint8Array(await response.arrayBuffer().catch(lost));
  requireSize(bytes.length);
  return bytes;
}

export const readFileChecked = (
  path: string,
  what: string,
  maxBytes = Number.POSITIVE_INFINITY,
): Promise<Uint8Array<ArrayBuffer>> => fetchBytes(path, `reading ${what} ${path}`, maxBytes);

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

export const writeJson: typeof node.writeJson = (path) => writeFileAtomic(path, "");

export const attempt: typeof node.attempt = (_doing, _path, work) => work();

export const pathOfUrl: typeof node.pathOfUrl = ({ href }) => href;
