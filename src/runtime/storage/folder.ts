/** @file Storage in a folder of the file system. */
import { readdir, readFile, rm } from "node:fs/promises";
import { dirname, join, relative, sep } from "node:path";
import { attempt, type FileContent, makeFolder, openFile, writeFileAtomic } from "../files.ts";
import type { Storage } from "./storage.ts";

export class FolderStorage implements Storage {
  constructor(readonly place: string) {}

  async read(name: string): Promise<Uint8Array | undefined> {
    const path = this.pathOf(name);
    return attempt(`reading ${path}`, path, () => readFile(path).catch(nothingIfMissing));
  }

  write(name: string, content: string | Uint8Array): Promise<void> {
    return this.put(name, content);
  }

  async upload(name: string, path: string): Promise<void> {
    await this.put(name, contentOf(path));
  }

  async download(name: string, path: string): Promise<void> {
    await writeFileAtomic(path, contentOf(this.pathOf(name)));
  }

  async list(prefix: string): Promise<string[]> {
    const entries = await attempt(`reading ${this.place}`, this.place, () =>
      readdir(this.place, { recursive: true, withFileTypes: true }).catch(nothingIfMissing),
    );
    return (entries ?? [])
      .filter((entry) => entry.isFile() && !entry.name.startsWith("."))
      .map((entry) => relative(this.place, join(entry.parentPath, entry.name)).split(sep).join("/"))
      .filter((name) => name.startsWith(prefix))
      .sort();
  }

  async remove(name: string): Promise<void> {
    const path = this.pathOf(name);
    await attempt(`removing ${path}`, path, () => rm(path, { force: true }));
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  private async put(name: string, content: FileContent): Promise<void> {
    const path = this.pathOf(name);
    await makeFolder(dirname(path), `writing ${path}`);
    await attempt(`writing ${path}`, path, () => writeFileAtomic(path, content));
  }

  private pathOf(name: string): string {
    return join(this.place, ...name.split("/"));
  }
}

/** The content of a file, chunk by chunk; it is opened when it is read. */
async function* contentOf(path: string): AsyncGenerator<Uint8Array> {
  yield* (await openFile(path, `reading ${path}`)).createReadStream();
}

function nothingIfMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== "ENOENT") throw error;
}
