/** @file Downloads packages with the registries' own clients, and checks what came. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { messageOf, XPromptError } from "../../src/errors.ts";
import { makeFolder, sha256File } from "../../src/runtime/files.ts";
import type { LockedPackage } from "./lock.ts";

const run = promisify(execFile);

export interface Download {
  readonly package: string;
  readonly path: string;
  readonly version: string;
  readonly sha256: string;
  /** Says so where Debian no longer serves the locked version. */
  readonly note?: string;
}

/** Begins the names of folders of unfinished downloads. */
const PART = ".download-";

const extension = { debian: "deb", npm: "tgz" } as const;

/**
 * The package's file in `folder`, downloaded unless it is there.
 * @throws XPromptError if the client fails or the checksum differs.
 */
export async function download(name: string, locked: LockedPackage, folder: string): Promise<Download> {
  const doing = `downloading ${name} ${locked.version}`;
  const path = fileOf(folder, name, locked.version, locked);
  if (existsSync(path)) return checked(doing, { package: name, path, version: locked.version }, locked);
  await makeFolder(folder, doing);
  const temporary = await mkdtemp(join(folder, PART));
  try {
    const version = await (locked.registry === "npm" ? npmPack : aptDownload)(
      name,
      locked.version,
      temporary,
    );
    const [file] = await readdir(temporary);
    if (file === undefined) throw new XPromptError(`${doing}: expected a file, got none (try again)`);
    const target = fileOf(folder, name, version, locked);
    await rename(join(temporary, file), target);
    return await checked(doing, { package: name, path: target, version }, locked);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

/** Removes what interrupted downloads left. */
export async function removeParts(folder: string): Promise<void> {
  if (!existsSync(folder)) return;
  for (const name of await readdir(folder))
    if (name.startsWith(PART)) await rm(join(folder, name), { recursive: true, force: true });
}

const fileOf = (folder: string, name: string, version: string, { registry }: LockedPackage) =>
  join(folder, `${`${name}@${version}`.replaceAll("/", "+").replaceAll(":", "%3a")}.${extension[registry]}`);

async function checked(
  doing: string,
  found: Omit<Download, "sha256" | "note">,
  locked: LockedPackage,
): Promise<Download> {
  const sha256 = await sha256File(found.path, "package");
  if (found.version !== locked.version) {
    const note = `${found.package}: Debian serves version ${found.version}, not ${locked.version} of the lock file`;
    return { ...found, sha256, note };
  }
  if (sha256 !== locked.sha256) {
    throw new XPromptError(
      `${doing}: expected SHA-256 ${locked.sha256}, got ${sha256} (remove ${found.path} and try again; if it differs again, do not use it)`,
    );
  }
  return { ...found, sha256 };
}

async function npmPack(name: string, version: string, folder: string): Promise<string> {
  const packageName = `${name}@${version}`;
  await client("npm", ["pack", packageName, "--silent", "--pack-destination", folder], folder, packageName);
  return version;
}

/** Downloads the version, or where it is gone the one that Debian serves now. @returns the version that came. */
async function aptDownload(name: string, version: string, folder: string): Promise<string> {
  const exact = `${name}=${version}`;
  const get = (what: string) => client("apt-get", ["download", what], folder, what);
  if (await succeeds(get(exact))) return version;
  await run("apt-get", ["update"]).catch(() => {}); // needs rights that the download does not
  if (await succeeds(get(exact))) return version;
  await get(name);
  const [file] = await readdir(folder);
  const { stdout } = await run("dpkg-deb", ["--field", join(folder, file!), "Version"]);
  return stdout.trim();
}

const succeeds = (work: Promise<unknown>) =>
  work.then(
    () => true,
    () => false,
  );

async function client(command: string, args: readonly string[], cwd: string, what: string): Promise<void> {
  try {
    await run(command, args, { cwd });
  } catch (error) {
    const { code, stderr } = error as { code?: unknown; stderr?: string };
    const missing = code === "ENOENT";
    const said = stderr?.trim().split("\n").at(-1) || messageOf(error);
    throw new XPromptError(
      `downloading ${what}: expected ${command} to bring it, got ${missing ? "no such command" : said} (${
        missing
          ? `install ${command}, or leave this set out with --only`
          : "check the network and the registry, or leave this set out with --only"
      })`,
    );
  }
}
