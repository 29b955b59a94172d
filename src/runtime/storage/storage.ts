/** @file Where data sets and copies of checkpoints are kept: a folder, or a prefix of a bucket on object storage. */

/** Objects by name. Names have `/` between their parts. */
export interface Storage extends AsyncDisposable {
  /** A folder, or `s3://bucket/prefix`. */
  readonly place: string;
  /** The content of an object; undefined if there is none. */
  read(name: string): Promise<Uint8Array | undefined>;
  /** Writes an object whole or not at all, over an older one. */
  write(name: string, content: string | Uint8Array): Promise<void>;
  /** The same with the content of a local file of any size. */
  upload(name: string, path: string): Promise<void>;
  /** Writes an object to a local file, whole or not at all. @throws XPromptError when there is no such object */
  download(name: string, path: string): Promise<void>;
  /** The names that begin with `prefix`, sorted. */
  list(prefix: string): Promise<string[]>;
  /** Removes an object; it need not exist. */
  remove(name: string): Promise<void>;
}
