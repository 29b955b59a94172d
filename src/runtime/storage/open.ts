/** @file Opening storage by its place. */
import { FolderStorage } from "./folder.ts";
import { isS3, S3Storage } from "./s3.ts";
import type { Storage } from "./storage.ts";

/**
 * Opens a place. Does not connect: the first operation does.
 * @param place a folder, which is made when something is written, or `s3://bucket/prefix`
 * @throws XPromptError when the package for object storage is not installed; UsageError for a wrong URL
 */
export async function openStorage(place: string): Promise<Storage> {
  return isS3(place) ? S3Storage.open(place) : new FolderStorage(place);
}
