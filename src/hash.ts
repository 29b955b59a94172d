/** @file SHA-256. `hash.browser.ts` stands in for this module in browsers. */
import { createHash } from "node:crypto";

/** Bytes, or text as UTF-8. */
type Hashed = string | NodeJS.ArrayBufferView;

/** The 32 bytes of the SHA-256 of all parts, one after another. */
export function sha256Bytes(...parts: Hashed[]): Uint8Array {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
}

/** The same in lower-case hexadecimal digits. */
export function sha256(...parts: Hashed[]): string {
  return Buffer.from(sha256Bytes(...parts)).toString("hex");
}
