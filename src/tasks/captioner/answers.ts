/**
 * @file Answers on disk, one JSON line each, in order of arrival, so that no question is paid for twice. Drops an
 * incomplete last line of a killed process; never changes a file with other content. A lock beside the file, `….lock`,
 * keeps a second run away.
 */
import { access, constants, type FileHandle, open, readFile } from "node:fs/promises";
import { z } from "zod";
import { XPromptError } from "../../errors.ts";
import { attempt, resolveTarget } from "../../runtime/files.ts";
import { takeLock } from "../../runtime/lock.ts";
import { buildWith } from "../../runtime/resources.ts";
import { type Caption, captionSchema } from "./caption.ts";

const lineSchema = captionSchema.extend({
  id: z.string(),
  /** Of the pictures, the model and the question. */
  key: z.string(),
});

export interface Answer extends Caption {
  readonly id: string;
}

/** The captions in a file, by the id of their pair; the latest where there are several. @throws XPromptError */
export async function captionsById(path: string): Promise<Map<string, Answer>> {
  const bytes = await readIfThere(path);
  if (!bytes) throw new XPromptError(`reading captions ${path}: there is no such file`);
  return new Map(linesOf(bytes, path).lines.map(({ key: _, ...answer }) => [answer.id, answer]));
}

type Line = z.output<typeof lineSchema>;

/** The contents of a file of captions, and how to prepare its end for more lines. */
interface Content {
  readonly lines: readonly Line[];
  /** Bytes to keep, if an incomplete line follows them. */
  readonly cut?: number;
  /** The characters that the last line lacks. */
  readonly missing: "" | "\n";
}

export class Answers {
  /** Opened, and created if necessary, by the first answer. */
  private file: FileHandle | undefined;
  private readonly captions = new Map<string, Caption>();
  /** The key of the latest line of every pair, by its id. */
  private readonly latest = new Map<string, string>();
  /** Resolves when all lines so far are written. */
  private written = Promise.resolve();

  private constructor(
    private readonly path: string,
    private readonly content: Content,
    private readonly unlock: () => Promise<void>,
  ) {
    for (const line of content.lines) this.remember(line);
  }

  /**
   * Opens a file of answers. The first answer creates a missing file.
   * @throws XPromptError if it has other content, cannot be written, or another run writes to it
   */
  static open(path: string): Promise<Answers> {
    return buildWith(async (resources) => {
      const unlock = await lockAnswers(path); // which shows that the folder is writable
      resources.defer(unlock);
      const bytes = await readIfThere(path);
      const content = linesOf(bytes ?? Buffer.alloc(0), path);
      if (bytes) await attempt(`writing captions ${path}`, path, () => access(path, constants.W_OK));
      return new Answers(path, content, unlock);
    });
  }

  /** The stored caption for a question, of any pair. */
  get(key: string): Caption | undefined {
    return this.captions.get(key);
  }

  /**
   * Stores an answer as the latest of its pair, unless it is already, and waits until it is on disk.
   * @throws XPromptError if it cannot be written; later answers are then refused, since the last line may be incomplete
   */
  async add(key: string, answer: Answer): Promise<void> {
    if (this.latest.get(answer.id) === key) return;
    const line = { key, ...answer };
    this.remember(line);
    this.written = this.written.then(() => this.write(`${JSON.stringify(line)}\n`));
    await this.written;
  }

  async close(): Promise<void> {
    await this.written.catch(() => undefined); // the `add` that failed has reported it
    try {
      await this.file?.close();
    } finally {
      await this.unlock();
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  private remember({ id, key, ...caption }: Line): void {
    this.captions.set(key, caption);
    this.latest.set(id, key);
  }

  private write(line: string): Promise<void> {
    return attempt(`writing captions ${this.path}`, this.path, async () => {
      this.file ??= await this.openAtEnd();
      await this.file.appendFile(line);
      await this.file.datasync();
    });
  }

  private async openAtEnd(): Promise<FileHandle> {
    const file = await open(this.path, "a");
    if (this.content.cut !== undefined) await file.truncate(this.content.cut);
    await file.appendFile(this.content.missing);
    return file;
  }
}

/** @returns a function that releases the lock. @throws XPromptError when another process, or this one, holds it */
async function lockAnswers(path: string): Promise<() => Promise<void>> {
  const doing = `writing captions ${path}`;
  return takeLock(`${await resolveTarget(path)}.lock`, {
    doing,
    busy: (holder) =>
      new XPromptError(
        `${doing}: expected one run at a time, got one by ${holder} (wait until it ends, or choose another file)`,
        { code: "ERR_LOCKED" },
      ),
  });
}

/** The bytes of a file, or undefined if there is none. */
function readIfThere(path: string): Promise<Buffer | undefined> {
  return attempt(`reading captions ${path}`, path, () =>
    readFile(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return undefined;
      throw error;
    }),
  );
}

/**
 * The lines of a file, without blank ones. A last line without a line end may be complete; if not, it is dropped if captions precede it.
 * @throws XPromptError if another line is not a caption
 */
function linesOf(bytes: Buffer, path: string): Content {
  const end = bytes.lastIndexOf("\n") + 1;
  const texts = bytes.subarray(0, end).toString().split("\n").slice(0, -1);
  const last = bytes.subarray(end).toString();
  const isHalf = last !== "" && !texts.every(isBlank) && !isJson(last);
  if (last !== "" && !isHalf) texts.push(last);
  const lines = texts.flatMap((text, i) =>
    isBlank(text) ? [] : parseLine(text, `reading captions ${path}, line ${i + 1}`),
  );
  return isHalf ? { lines, cut: end, missing: "" } : { lines, missing: last === "" ? "" : "\n" };
}

const isBlank = (text: string): boolean => text.trim() === "";

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function parseLine(text: string, doing: string): Line {
  try {
    return lineSchema.parse(JSON.parse(text));
  } catch {
    throw new XPromptError(
      `${doing}: expected a caption as JSON, got something else (choose another file, or delete this one)`,
    );
  }
}
