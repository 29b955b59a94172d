/** @file Checks before a conversion: a writable output, free disk space, and undamaged weights. */
import { readdir, realpath, stat, statfs } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { UsageError, XPromptError } from "../../errors.ts";
import { formatBytes } from "../../format.ts";
import { attempt, checkNotMounted, isInside, sha256File } from "../../runtime/files.ts";
import { companionsOf } from "./input.ts";

/**
 * Verifies the weights against the checksum of their folder.
 * @param onProgress receives the number of bytes read
 */
export async function checkInput(
  file: string,
  checksum: string,
  signal: AbortSignal | undefined,
  onProgress: (done: number) => void,
): Promise<void> {
  if ((await sha256File(file, "weights", { signal, onProgress })) === checksum) return;
  throw new XPromptError(
    `reading weights ${file}: expected the checksum in config.json, got another: the file is damaged (copy the folder again)`,
  );
}

/** The names of files that model folders have. */
const ofModels =
  /\.(safetensors|json|jinja|model)$|^(LICENSE|NOTICE|USE_POLICY)|^(README\.md|merges\.txt|vocab\.txt)$/i;

/** @throws XPromptError when the folder cannot be created, is a mount point, or contains anything except the files of an older model */
export async function checkOutput(input: string, output: string): Promise<void> {
  const doing = `converting into ${output}`;
  const parent = await stat(dirname(resolve(output))).catch(() => undefined);
  if (!parent?.isDirectory())
    throw new XPromptError(`${doing}: expected a folder to put it in, got none (create it first)`);
  const former = await stat(output).catch(() => undefined);
  if (!former) return;
  const [from, to] = [await realpath(input), await realpath(output)];
  if (isInside(to, from))
    throw new UsageError(
      `${doing}: expected another folder than the input's, got the same (choose another path)`,
    );
  if (!former.isDirectory())
    throw new XPromptError(`${doing}: expected a folder or nothing, got a file (choose another path)`);
  await checkNotMounted(output, doing);
  const names = await attempt(doing, output, () => readdir(output));
  if (names.length === 0) return;
  const own = await companionsOf(input);
  const isOwn = (name: string) => own.includes(name) || ofModels.test(name);
  const foreign = names.includes("config.json") ? names.find((name) => !isOwn(name)) : names[0];
  if (foreign !== undefined)
    throw new XPromptError(
      `${doing}: expected a model folder with nothing else in it, an empty folder or nothing, got a folder that contains ${foreign} (choose another path)`,
    );
}

/** @throws XPromptError when the disk has no room for the rest of the output */
export async function checkRoom(target: string, output: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await attempt(`converting into ${output}`, output, () => statfs(dirname(target)));
  const written = await stat(target).then(
    ({ blocks }) => blocks * 512,
    () => 0,
  );
  const needed = bytes - written;
  if (needed <= bavail * bsize) return;
  throw new XPromptError(
    `converting into ${output}: expected ${formatBytes(needed)} free on the disk, got ${formatBytes(bavail * bsize)} (free some space, or choose another disk)`,
  );
}
