/** @file Reading the rows of a tokenized data set. */
import type { Tokenizers } from "../../chameleon/checkpoint/folder.ts";
import { XPromptError } from "../../errors.ts";
import { sha256 } from "../../hash.ts";
import { openStorage } from "../../runtime/storage/open.ts";
import type { Storage } from "../../runtime/storage/storage.ts";
import type { Codes } from "../../xprompt/sequence.ts";
import type { ContextBatch } from "../transformer/contexts.ts";
import type { Shard } from "./manifest.ts";
import { decodeRows } from "./parquet.ts";
import { batchesOf, type TokenRow } from "./rows.ts";

/** Opens a place, reads from it, and closes it. */
export async function readFrom<T>(place: string, read: (storage: Storage) => Promise<T>): Promise<T> {
  await using storage = await openStorage(place);
  return await read(storage);
}

/** The rows of a shard. @throws XPromptError when it is missing, or not what its record says */
export async function readShard(storage: Storage, { name, sha256: expected }: Shard): Promise<TokenRow[]> {
  const file = `${name}.parquet`;
  const doing = `reading tokenized data ${storage.place}/${file}`;
  const bytes = await storage.read(file);
  if (!bytes)
    throw new XPromptError(`${doing}: expected it, found none (copy it again, or tokenize the data again)`);
  if (sha256(bytes) !== expected)
    throw new XPromptError(
      `${doing}: its checksum is not the recorded one: the file is damaged (copy it again, or tokenize the data again)`,
    );
  return decodeRows(bytes, doing);
}

/** The batches of a shard of training contexts. */
export async function readBatches(
  storage: Storage,
  shard: Shard,
  tokenizers: Tokenizers,
): Promise<ContextBatch<Codes>[]> {
  return batchesOf(await readShard(storage, shard), tokenizers);
}
