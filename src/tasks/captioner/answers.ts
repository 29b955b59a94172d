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

export class Answers {
  private constructor(
    private readonly path: string,
    private readonly file: FileHandle,
    private readonly known: Map<string, Answer>,
  ) {}

  /** Opens or makes a file of answers. @throws XPromptError when it holds something else */
  static async open(path: string): Promise<Answers> {
    const doing = `reading captions ${path}`;
    const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return "";
      throw new XPromptError(`${doing}: ${error.message}`);
    });
    const whole = text.slice(0, text.lastIndexOf("\n") + 1);
    const known = new Map<string, Answer>();
    for (const [i, line] of whole.split("\n").slice(0, -1).entries()) {
      const { key, ...answer } = parseLine(line, `${doing}, line ${i + 1}`);
      known.set(key, answer);
    }
    const file = await attempt(doing, path, () => open(path, "a"));
    await attempt(doing, path, () => file.truncate(Buffer.byteLength(whole)));
    return new Answers(path, file, known);
  }

  get(key: string): Answer | undefined {
    return this.known.get(key);
  }

  /** Adds an answer and waits until the disk has it. */
  async add(key: string, answer: Answer): Promise<void> {
    this.known.set(key, answer);
    const line = `${JSON.stringify({ key, ...answer })}\n`;
    await attempt(`writing captions ${this.path}`, this.path, async () => {
      await this.file.appendFile(line);
      await this.file.datasync();
    });
  }

  async close(): Promise<void> {
    await this.file.close();
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
