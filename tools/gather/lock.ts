/** @file The packages that pictures are gathered from, as the lock file names them. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";

const locked = z.strictObject({
  registry: z.enum(["debian", "npm"]),
  version: z.string(),
  /** Checksum of the `.deb` or `.tgz` file. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  /** As the package states it. */
  licence: z.string(),
  /** Who made the pictures, as the package states it; "per file" where it says so of every file. */
  author: z.string(),
  url: z.string(),
});

export type LockedPackage = z.infer<typeof locked>;

/** By package name. */
export const lock = z
  .record(z.string(), locked)
  .parse(JSON.parse(readFileSync(join(import.meta.dirname, "sources.lock.json"), "utf8")));
