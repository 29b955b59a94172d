/** @file SHA-256 in browsers. Web Crypto's is asynchronous, and absent on plain HTTP. */
import { sha256 as algorithm } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import type * as node from "./hash.ts";

export const sha256Bytes: typeof node.sha256Bytes = (...parts) => {
  const hash = algorithm.create();
  for (const part of parts)
    hash.update(
      typeof part === "string"
        ? new TextEncoder().encode(part)
        : new Uint8Array(part.buffer, part.byteOffset, part.byteLength),
    );
  return hash.digest();
};

export const sha256: typeof node.sha256 = (...parts) => bytesToHex(sha256Bytes(...parts));
