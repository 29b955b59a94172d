/** @file Reads one pack: its index, and the bytes it refers to, both checked. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { inflateRawSync } from "node:zlib";
import { messageOf, XPromptError } from "../../errors.ts";
import { sha256 } from "../../hash.ts";
import { type PackIndex, packIndex, regionsOf } from "./format.ts";

/** What to do about a pack that cannot be used. */
const gatherAgain = "remove the pack's two files and run `npm run gather` again";

export interface Pack {
  readonly name: string;
  readonly index: PackIndex;
  /** SHA-256 of the index. */
  readonly digest: string;
  readonly bytes: Buffer;
}

/** Packs that this process has read, by path; readers of the same folder share them. */
const packsRead = new Map<string, Pack>();

/** @throws XPromptError if a file is missing, not part of a pack, or does not match the other file. */
export function readPack(folder: string, name: string): Pack {
  const path = join(folder, `${name}.json`);
  const text = read(path);
  const digest = sha256(text);
  const known = packsRead.get(path);
  if (known?.digest === digest) return known;
  const index = parse(path, text);
  const binPath = join(folder, `${name}.bin`);
  const bytes = read(binPath);
  if (bytes.length !== index.bytes) throw damaged(binPath, `${index.bytes} bytes`, String(bytes.length));
  if (sha256(bytes) !== index.sha256) throw damaged(binPath, `the checksum in ${name}.json`, "another");
  for (const { name: item, offset, length } of regionsOf(index)) {
    if (offset + length > bytes.length) {
      throw damaged(path, `${item} within ${bytes.length} bytes`, `it at ${offset} to ${offset + length}`);
    }
  }
  const pack = { name, index, digest, bytes };
  packsRead.set(path, pack);
  return pack;
}

/** Decompresses RGBA bytes of a known size. @param label name of the picture in errors */
export function inflate(
  { bytes }: Pack,
  label: string,
  place: { readonly offset: number; readonly length: number },
  expected: number,
): Uint8Array {
  let data: Uint8Array;
  try {
    data = inflateRawSync(bytes.subarray(place.offset, place.offset + place.length), {
      maxOutputLength: expected,
    });
  } catch (error) {
    throw damaged(label, "deflated bytes", messageOf(error));
  }
  if (data.length !== expected) throw damaged(label, `${expected} bytes`, String(data.length));
  return data;
}

function parse(path: string, text: Buffer): PackIndex {
  let value: unknown;
  try {
    value = JSON.parse(text.toString("utf8"));
  } catch (error) {
    throw damaged(path, "JSON", messageOf(error).replace(/\s+/g, " "));
  }
  const parsed = packIndex.safeParse(value);
  if (parsed.success) return parsed.data;
  const { path: place, message } = parsed.error.issues[0]!;
  throw new XPromptError(
    `reading gathered pictures ${path}: expected the index of a pack, got ${place.join(".") || "a value"}: ${message} (use a folder that \`npm run gather\` wrote)`,
  );
}

function read(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw damaged(path, "a readable file", messageOf(error));
  }
}

const damaged = (what: string, expected: string, got: string) =>
  new XPromptError(`reading gathered pictures ${what}: expected ${expected}, got ${got} (${gatherAgain})`);
