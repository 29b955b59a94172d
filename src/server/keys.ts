/** @file API keys: random, shown once, stored as SHA-256. A random key of 256 bits needs no slow hash. */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { existsSync } from "node:fs";
import { UsageError, XPromptError } from "../errors.ts";
import { readFileChecked, writeFileAtomic } from "../runtime/files.ts";

interface Key {
  readonly name: string;
  readonly hash: Buffer;
}

const MOST_BYTES = 2 ** 20;

const hashOf = (key: string): Buffer => createHash("sha256").update(key).digest();

/** @throws XPromptError for a line that is no key */
function parse(text: string, doing: string): Key[] {
  return text.split("\n").flatMap((line, i) => {
    if (/^\s*(#|$)/.test(line)) return [];
    const [, name, hash] = /^(\S+) ([0-9a-f]{64})\s*$/.exec(line) ?? [];
    if (name === undefined)
      throw new XPromptError(
        `${doing}: line ${i + 1}: expected a name and a SHA-256, got something else (correct the line, or name another file)`,
      );
    return [{ name, hash: Buffer.from(hash!, "hex") }];
  });
}

/** The keys of a server. */
export class Keys {
  private constructor(private readonly keys: readonly Key[]) {}

  /**
   * Reads a file of keys: a name and the SHA-256 of a key per line. Empty lines, and lines that start with #, are
   * ignored.
   * @throws XPromptError for a missing file, or an invalid line
   */
  static async load(path: string): Promise<Keys> {
    const keys = parse(
      (await readFileChecked(path, "keys", MOST_BYTES)).toString("utf8"),
      `reading keys ${path}`,
    );
    if (keys.length === 0)
      throw new XPromptError(
        `reading keys ${path}: expected at least one key, got none (make one with xprompt serve --keys ${path} --new-key NAME)`,
      );
    return new Keys(keys);
  }

  /**
   * A single key in clear text, for example from an environment variable.
   * @throws UsageError for an empty one
   */
  static of(key: string): Keys {
    if (key === "") throw new UsageError("checking keys: expected a key, got an empty text");
    return new Keys([{ name: "default", hash: hashOf(key) }]);
  }

  /** The name of the key in an Authorization header, if it is one of these. Takes the same time for all keys. */
  nameOf(authorization: string | null): string | undefined {
    const key = /^Bearer +(.+)$/i.exec(authorization ?? "")?.[1];
    const given = hashOf(key ?? "");
    let found: string | undefined;
    for (const { name, hash } of this.keys) if (timingSafeEqual(given, hash)) found = name;
    return key === undefined ? undefined : found;
  }
}

/**
 * Makes a key, adds its hash to the file, and returns the key.
 * @throws XPromptError for a file that is none of keys, and for a name that has a key
 */
export async function addKey(path: string, name: string): Promise<string> {
  if (!/^[\w.-]{1,64}$/.test(name))
    throw new XPromptError(
      `making a key: expected a name of letters, digits, dots and dashes, got ${JSON.stringify(name)}`,
    );
  const former = existsSync(path) ? (await readFileChecked(path, "keys", MOST_BYTES)).toString("utf8") : "";
  const doing = `adding a key to ${path}`;
  if (parse(former, doing).some((key) => key.name === name))
    throw new XPromptError(
      `${doing}: expected a new name, got ${name}, which has a key (remove its line first)`,
    );
  const key = `xp-${randomBytes(32).toString("base64url")}`;
  const gap = former === "" || former.endsWith("\n") ? "" : "\n";
  await writeFileAtomic(path, `${former}${gap}${name} ${hashOf(key).toString("hex")}\n`);
  return key;
}
