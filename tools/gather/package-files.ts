/** @file Reads files out of a downloaded package without unpacking it: `.tgz` of npm, `.deb` of Debian. */
import { spawn } from "node:child_process";
import { createReadStream } from "node:fs";
import type { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { extract } from "tar-stream";
import { messageOf, XPromptError } from "../../src/errors.ts";
import type { Download } from "./download.ts";

export interface PackageFile {
  /** Path inside the package: without `package/` of npm, without the leading `/` of Debian. */
  readonly path: string;
  readonly bytes: Buffer;
}

/** The package's files that `wanted` accepts, in the archive's order, one at a time in memory. */
export async function* packageFiles(
  { package: name, path }: Download,
  wanted: (path: string) => boolean,
): AsyncGenerator<PackageFile> {
  const { tar, close } = path.endsWith(".deb") ? debianTar(path) : npmTar(path);
  const entries = tar.pipe(extract());
  tar.on("error", (error) => entries.destroy(error));
  try {
    for await (const entry of entries) {
      const inside = entry.header.name.replace(/^(package|\.)\//, "");
      const chunks: Buffer[] = [];
      if (entry.header.type === "file" && wanted(inside)) {
        for await (const chunk of entry) chunks.push(chunk as Buffer);
        yield { path: inside, bytes: Buffer.concat(chunks) };
      }
      entry.resume();
    }
  } catch (error) {
    if (error instanceof XPromptError) throw error;
    throw new XPromptError(
      `unpacking ${name}: expected a whole archive, got ${messageOf(error)} (remove ${path} and try again)`,
    );
  } finally {
    tar.destroy();
    close();
  }
}

/** One file of a package. */
export async function packageFile(download: Download, path: string): Promise<Buffer> {
  for await (const file of packageFiles(download, (inside) => inside === path)) return file.bytes;
  throw new XPromptError(
    `unpacking ${download.package} ${download.version}: expected a file ${path}, got none (the package has changed: correct tools/gather)`,
  );
}

/** A stream of tar, and what ends its source if it is not read to the end. */
interface TarSource {
  readonly tar: Readable;
  close(): void;
}

function npmTar(path: string): TarSource {
  const file = createReadStream(path);
  const tar = createGunzip();
  file.on("error", (error) => tar.destroy(error)).pipe(tar);
  return { tar, close: () => file.destroy() };
}

function debianTar(path: string): TarSource {
  const child = spawn("dpkg-deb", ["--fsys-tarfile", path], { stdio: ["ignore", "pipe", "ignore"] });
  child.on("error", (error) => child.stdout.destroy(error));
  return { tar: child.stdout, close: () => child.kill() };
}
