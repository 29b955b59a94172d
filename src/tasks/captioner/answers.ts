/**
 * @file Answers kept on disk, one JSON line each, as they come: what was paid for once is never asked again. A line
 * that a killed process left half written is dropped.
 */
import { type FileHandle, open, readFile } from "node:fs/promises";
import { z } from "zod";
import { XPromptError } from "../../errors.ts";
import { attempt } from "../../runtime/files.ts";
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
  const { lines } = await readLines(path, { missing: "refused" });
  return new Map(lines.map(([, answer]) => [answer.id, answer]));
}

/** The whole lines of a file: keys and answers, and how many bytes they take. */
async function readLines(
  path: string,
  { missing }: { readonly missing: "empty" | "refused" },
): Promise<{ lines: [key: string, answer: Answer][]; bytes: number }> {
  const doing = `reading captions ${path}`;
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" && missing === "empty") return "";
    throw new XPromptError(`${doing}: ${error.code === "ENOENT" ? "there is no such file" : error.message}`);
  });
  const whole = text.slice(0, text.lastIndexOf("\n") + 1);
  const lines = whole.split("\n").slice(0, -1);
  return {
    lines: lines.map((line, i) => {
      const { key, ...answer } = parseLine(line, `${doing}, line ${i + 1}`);
      return [key, answer];
    }),
    bytes: Buffer.byteLength(whole),
  };
}

export class Answers {
  /** Opened, and made if need be, by the first answer. */
  private file: Promise<FileHandle> | undefined;

  private constructor(
    private readonly path: string,
    /** Where whole lines end. */
    private readonly bytes: number,
    private readonly known: Map<string, Answer>,
  ) {}

  /** Opens or makes a file of answers. @throws XPromptError when it holds something else */
  static async open(path: string): Promise<Answers> {
    const { lines, bytes } = await readLines(path, { missing: "empty" });
    return new Answers(path, bytes, new Map(lines));
  }

  get(key: string): Answer | undefined {
    return this.known.get(key);
  }

  /** Adds an answer and waits until the disk has it. */
  async add(key: string, answer: Answer): Promise<void> {
    this.known.set(key, answer);
    const line = `${JSON.stringify({ key, ...answer })}\n`;
    await attempt(`writing captions ${this.path}`, this.path, async () => {
      this.file ??= this.openAtEnd();
      const file = await this.file;
      await file.appendFile(line);
      await file.datasync();
    });
  }

  async close(): Promise<void> {
    await (await this.file?.catch(() => undefined))?.close();
  }

  private async openAtEnd(): Promise<FileHandle> {
    const file = await open(this.path, "a");
    await file.truncate(this.bytes);
    return file;
  }
}

function parseLine(line: string, doing: string): z.output<typeof lineSchema> {
  try {
    return lineSchema.parse(JSON.parse(line));
  } catch {
    throw new XPromptError(
      `${doing}: expected a caption as JSON, got something else (choose another file, or delete this one)`,
    );
  }
}
